"""Figures of each variant's vector space and of its runs: geometry, projection, numerical checks."""

from collections.abc import Mapping
from typing import Any

from stages.analysis.diagnosis import Diagnosis
from stages.analysis.geometry import Figures
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import em

WORDS = {
    "neighbour_overlap_to_base": "neighbours shared with the base",
    "linear_cka_to_base": "linear CKA with the base",
    "norm_mean": "mean raw length",
    "norm_sd": "SD of raw lengths",
    "norm_min": "least raw length",
    "norm_max": "largest raw length",
    "mean_gap": "mean gap of the best relevant to the best other score",
    "share_above": "share of queries with a relevant passage first",
    "silhouette_queries_passages_384d": "silhouette of queries and passages",
    "mean_cosine_to_base": "mean cosine to the base's vectors",
    "mean_cosine_to_positive": "mean cosine of query and passage",
    "tied_at_10": "queries tied at rank 10",
    "fp16_reordered": "queries reordered in half precision",
    "fp16_RR@10_changed": "queries with another RR@10 in half precision",
    "fp16_worst_RR@10": "worst RR@10 in half precision",
    "fp16_best_RR@10": "best RR@10 in half precision",
}
NO_VECTORS = "No variant has vectors."


def projection(projected: Mapping[str, Any]) -> Block:
    """The figures of the vectors that were projected (reports/projection.json), or why there is none.

    The silhouette of the points in the plane, which all variants share, is left out.
    """
    if not projected["variants"]:
        return projected.get("left_out") or NO_VECTORS
    measured = {
        variant: {name: value for name, value in figures.items() if not name.endswith("_2d")}
        for variant, figures in projected["variants"].items()
    }
    return _table(measured)


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


def words(name: str) -> str:
    """A figure's name as a table's head."""
    return WORDS.get(name, name.replace("_", " "))


def _table(figures: Mapping[str, Figures]) -> Table:
    names = _names(figures)
    lines = [[variant, *(figure(values.get(name)) for name in names)] for variant, values in figures.items()]
    return Table(["variant", *(words(name) for name in names)], lines)


def _names(figures: Mapping[str, Figures]) -> list[str]:
    return list(dict.fromkeys(name for values in figures.values() for name in values))
