"""Figures of each variant's vector space and of its runs: geometry, projection, numerical checks."""

from collections.abc import Mapping

from stages.analysis.diagnosis import Diagnosis
from stages.analysis.geometry import Figures
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import em

NO_VECTORS = "No variant has vectors."


def projection(figures: Mapping[str, Figures]) -> Block:
    """What stands beside the shared projection: variant -> figure -> value."""
    return _table(figures) if figures else NO_VECTORS


def geometry(diagnosis: Diagnosis) -> Block:
    """The figures of every variant's space, and their rank correlation with the change over fine-tuned variants."""
    if not diagnosis.geometry:
        return NO_VECTORS
    table = _table(diagnosis.geometry)
    names = _names(diagnosis.geometry)
    ranked = [diagnosis.correlations.get(name) for name in names]
    lines: list[list[Cell]] = [
        [em("ρ with the change"), *(figure(one.rho if one else None) for one in ranked)],
        [em("p"), *(figure(one.p if one else None) for one in ranked)],
    ]
    count = max((one.n for one in diagnosis.correlations.values()), default=0)
    note = (
        f"ρ is Spearman's rank correlation of a figure with the change from the base, over {count} fine-tuned "
        "variants. With so many figures tried, one small p says little."
    )
    return Table(table.heads, [*table.lines, *lines], [note])


def numerical_checks(diagnosis: Diagnosis) -> Table:
    """What the order of equal scores and half precision could change in each variant's run."""
    return _table(diagnosis.numerical_checks)


def figure(value: float | None) -> str:
    """A number of unknown size: four digits, or whole with thousands separated."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def _table(figures: Mapping[str, Figures]) -> Table:
    names = _names(figures)
    lines = [[variant, *(figure(values.get(name)) for name in names)] for variant, values in figures.items()]
    return Table(["variant", *(name.replace("_", " ") for name in names)], lines)


def _names(figures: Mapping[str, Figures]) -> list[str]:
    return list(dict.fromkeys(name for values in figures.values() for name in values))
