"""The audit of the negatives as a table and as a picture: how hard they are, and how many are false."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from stages.negatives.hardness import Audit
from stages.negatives.histograms import GapHistogram, RankHistogram
from stages.reporting import style
from stages.reporting.table import NOTHING, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 4
SHARES = {
    "above_positive": "scored above the positive, %",
    "near_duplicates": "near duplicate of the positive, %",
    "relevant_to_own_query": "relevant to the same query, %",
    "relevant_to_judged_query": "relevant to a judged query, %",
    "relevant_to_training_query": "relevant to another training query, %",
}


def table(audits: Mapping[str, Audit]) -> Table:
    """One line for each block of triplets."""
    heads = ["triplets block", "triplets", "distinct queries", "mean score gap", *SHARES.values(), "ranks of negatives"]
    lines = [
        [
            block,
            f"{audit.figures.triplets:,.0f}",
            f"{audit.figures.queries:,.0f}",
            NOTHING if audit.figures.mean_gap is None else f"{audit.figures.mean_gap:.3f}",
            *(_per_cent(getattr(audit.figures, name)) for name in SHARES),
            spread(audit.ranks),
        ]
        for block, audit in audits.items()
    ]
    note = "The score gap is the base model's score of the positive minus that of the negative, by its own similarity."
    return Table(heads, lines, [note])


def spread(ranks: RankHistogram) -> str:
    """In words how wide the ranks of negatives spread; one that a quarter of them have is named."""
    if ranks.window is None:
        return "no ranking"
    if ranks.distinct == 1:
        return f"{ranks.min} only: one rank for every query"
    words, share = f"{ranks.min}-{ranks.max}, {ranks.distinct} distinct", ranks.commonest_share or 0
    return f"{words}, {_per_cent(share)} % at {ranks.commonest}" if share >= 0.25 else words


def _per_cent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f}"


@style.styled
def draw(audits: Mapping[str, Audit]) -> "Figure":
    """Two panels a block, on the same scales for all: shares of its triplets by rank, and by score gap.

    There are no gaps without a dense base. A negative that scores above its positive has a gap below 0 and another
    colour.
    """
    if not audits:
        return style.notice("No block of this study has triplets.")
    across = min(ACROSS, len(audits))
    down = -(-len(audits) // across)
    figure = style.blank(0.3 + 3.6 * down)
    panels = figure.subplots(2 * down, across, squeeze=False)
    for axes in panels[-2:, len(audits) - across * (down - 1) :].ravel():
        axes.remove()
    pairs = [panels[2 * (at // across) :, at % across][:2] for at in range(len(audits))]
    for (above, below), (block, audit) in zip(pairs, audits.items(), strict=True):
        _ranks(above, block, audit.ranks)
        _gaps(below, audit)
    for half in zip(*pairs, strict=True):
        _share_height([axes for axes in half if axes.axison])
    _share_width([below for _, below in pairs if below.axison])
    figure.supylabel("triplets, %", fontsize=9, color="0.1")
    return figure


def _ranks(axes: "Axes", block: str, ranks: RankHistogram) -> None:
    axes.set_title(f"{block}\n{fill(spread(ranks), 28)}", loc="left", fontsize=8.5, linespacing=1.35)
    if ranks.window is None:
        _empty(axes, "not drawn by rank")
        return
    _bars(axes, ranks, style.PASSAGE)
    axes.set_xlabel("rank of the negative")


def _gaps(axes: "Axes", audit: Audit) -> None:
    if audit.gaps is None:
        _empty(axes, "the base has no vectors")
        return
    _bars(axes, audit.gaps, style.BETTER, style.WORSE)
    axes.axvline(0, color="0.2", linewidth=0.8)
    words = f"mean {audit.figures.mean_gap:.2f}, {_per_cent(audit.figures.above_positive)} % below 0"
    axes.set_title(words, loc="left", fontsize=8.5)
    axes.set_xlabel("score, positive − negative")


def _bars(axes: "Axes", histogram: RankHistogram | GapHistogram, colour: str, below_zero: str | None = None) -> None:
    edges, counts = np.array(histogram.edges), np.array(histogram.counts)
    colours = [below_zero if below_zero and edge < 0 else colour for edge in edges[:-1]]
    shares = 100 * counts / max(1, counts.sum())
    axes.bar(edges[:-1], shares, np.diff(edges), align="edge", color=colours, edgecolor="white", linewidth=0.4)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def _share_height(panels: Sequence["Axes"]) -> None:
    for axes in panels:
        axes.set_ylim(0, max(other.get_ylim()[1] for other in panels))


def _share_width(panels: Sequence["Axes"]) -> None:
    ends = [axes.get_xlim() for axes in panels]
    for axes in panels:
        axes.set_xlim(min(left for left, _ in ends), max(right for _, right in ends))


def _empty(axes: "Axes", words: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.5")
