"""Contrasts of the controlled studies in words: change, interval, p, verdict, and what could have been detected."""

from stages.analysis.contrasts import Contrast
from stages.reporting.variants_table import p_value


def change(contrast: Contrast) -> str:
    """The change in per cent of the base, its interval, p and verdict; where nothing was compared, why."""
    if contrast.comparison is None:
        return contrast.verdict
    return f"{span(contrast)}, {contrast.verdict}"


def span(contrast: Contrast) -> str:
    """The change in per cent of the base, with its interval and its p within its family."""
    p = p_value(contrast.comparison.p_family if contrast.comparison else None)
    return f"{contrast.change():+.1f} % ({interval(contrast)}; p {p})"


def interval(contrast: Contrast) -> str:
    return f"{contrast.change('low'):+.1f} to {contrast.change('high'):+.1f}"


def detectable(contrast: Contrast) -> str:
    """The minimum detectable effect (80 % power, before correction) in words; "" where there is none."""
    if contrast.comparison is None or not contrast.comparison.detectable:
        return ""
    return f"minimum detectable effect {contrast.change('detectable'):.1f} %"


def cells(contrast: Contrast) -> list[str]:
    """Change, interval and verdict as cells of a table."""
    return [f"{contrast.change():+.1f}", interval(contrast), contrast.verdict]
