"""Contrasts of the controlled studies in words: change, interval, p, verdict, and what could have been detected."""

from stages.analysis.contrasts import Contrast
from stages.reporting import changes
from stages.reporting.table import NOTHING

EARLIER = (
    "The documentation of scikit-learn and scipy is an earlier, smaller form of the default collection; figures on it "
    "are not those of the report."
)


def change(contrast: Contrast) -> str:
    """The change in per cent of the base, its interval, p and verdict; where nothing was compared, why."""
    if contrast.comparison is None:
        return contrast.verdict
    return f"{span(contrast)}, {contrast.verdict}"


def span(contrast: Contrast) -> str:
    """The change in per cent of the base, with its interval and its p within its family."""
    p = changes.p_value(contrast.comparison.p_family if contrast.comparison else None)
    return f"{changes.size(contrast)} ({interval(contrast)}; p {p})"


def interval(contrast: Contrast) -> str:
    return changes.ends(contrast)


def detectable(contrast: Contrast) -> str:
    """The minimum detectable effect (80 % power, before correction) in words; "" where there is none."""
    effect = changes.detectable(contrast)
    return "" if effect == NOTHING else f"minimum detectable effect {effect} %"


def cells(contrast: Contrast) -> list[str]:
    """Change, interval and verdict as cells of a table."""
    return [changes.signed(contrast.change()), changes.interval(contrast), contrast.verdict]
