"""Changes in words: in per cent of what is compared with, or in the measure's unit where that has 0."""

from typing import Protocol

from stages.evaluation.comparison import Comparison
from stages.evaluation.results import Pair, Result
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


def on_target(changed: Result | Pair, significance: float) -> str:
    """The sentence of a change that has a comparison: measure and target, from where to where, interval, verdict."""
    base, compared = changed.base or 0.0, changed.comparison
    if compared is None:
        raise ValueError(f"{changed.variant} was not compared on {changed.target}")
    level = f"{100 * (1 - significance):g} % interval {ends(changed)}"
    return (
        f"{changed.measure} on {changed.corpus} {changed.split} goes from {base:.4f} to "
        f"{base + compared.difference:.4f}: {size(changed)} ({level}), {compared.verdict}."
    )


def detectable(changed: Changed) -> str:
    """The minimum detectable effect in per cent; – where there is none, or nothing is a per cent."""
    share = changed.change("detectable") if changed.comparison and changed.comparison.detectable else None
    return NOTHING if share is None else f"{share:.1f}"


def p_value(p: float | None) -> str:
    """A p in two digits, and "< 0.0001" for one that resampling cannot tell from 0."""
    if p is None:
        return NOTHING
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"
