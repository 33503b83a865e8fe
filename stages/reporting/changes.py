"""Changes in words: in per cent of what is compared with, or in the measure's unit where that has 0."""

from typing import Protocol

from stages.evaluation.comparison import Comparison
from stages.reporting.table import NOTHING


class Changed(Protocol):
    """What was compared: a result, a pair, a contrast, or a variant at two revisions."""

    @property
    def comparison(self) -> Comparison | None: ...

    def change(self, figure: str = "difference") -> float | None: ...


def signed(value: float | None, digits: int = 1) -> str:
    """A number with its sign; – for none."""
    return NOTHING if value is None else f"{value + 0.0:+.{digits}f}"


def interval(changed: Changed) -> str:
    """The ends of the interval in per cent; "" where nothing is a per cent."""
    low, high = changed.change("low"), changed.change("high")
    return "" if low is None or high is None else f"{signed(low)} to {signed(high)}"


def with_interval(changed: Changed) -> str:
    """The change in per cent with its interval in brackets; – where nothing is a per cent."""
    ends = interval(changed)
    return f"{signed(changed.change())} ({ends})" if ends else NOTHING


def size(changed: Changed) -> str:
    """The change with its unit: "+4.2 %", or "+0.1200" where nothing is a per cent; – without a comparison."""
    change = changed.change()
    if change is not None:
        return f"{signed(change)} %"
    return signed(changed.comparison.difference, 4) if changed.comparison else NOTHING


def ends(changed: Changed) -> str:
    """The ends of the interval, without a unit, in that of `size`."""
    compared = changed.comparison
    if compared is None or (in_per_cent := interval(changed)):
        return in_per_cent if compared else NOTHING
    return f"{signed(compared.low, 4)} to {signed(compared.high, 4)}"


def detectable(changed: Changed) -> str:
    """The minimum detectable effect in per cent; – where there is none, or nothing is a per cent."""
    share = changed.change("detectable") if changed.comparison and changed.comparison.detectable else None
    return NOTHING if share is None else f"{share:.1f}"
