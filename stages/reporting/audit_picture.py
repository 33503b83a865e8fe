"""The picture of the audit: of each block of triplets the ranks of its negatives, and below how far the positives lead.

A figure 9 inches wide in the style of the study's other pictures.
"""
from textwrap import fill

import numpy as np

from stages.reporting import plotting
from stages.negatives.hardness import spread

ACROSS = 4


@plotting.styled
def negatives(audit: dict):
    """Two panels a block, on the same scales for all: shares of its triplets by rank, and by score gap.

    audit maps a block to its figures, "ranks" and "gaps" (edges and counts; None without a dense base), as
    stages.audit writes them. A negative that scores above its positive has a gap below 0 and another colour.
    """
    from matplotlib.figure import Figure
    blocks = list(audit)
    across = max(1, min(ACROSS, len(blocks)))
    down = -(-len(blocks) // across)
    figure = Figure(figsize=(9, max(1.2, 0.3 + 3.6 * down)), layout="constrained")
    if not blocks:
        figure.text(0.5, 0.5, "No block of this study has triplets.", ha="center", va="center", color="0.3")
        return figure
    panels = figure.subplots(2 * down, across, squeeze=False)
    for axes in panels[-2:, len(blocks) - across * (down - 1):].ravel():
        axes.remove()
    pairs = [panels[2 * (at // across):, at % across][:2] for at in range(len(blocks))]
    for (above, below), block in zip(pairs, blocks):
        _ranks(above, block, audit[block]["ranks"])
        _gaps(below, audit[block])
    for half in zip(*pairs):
        _share_height([axes for axes in half if axes.axison])
    _share_width([below for _, below in pairs if below.axison])
    figure.supylabel("triplets, %", fontsize=9, color="0.1")
    return figure


def _ranks(axes, block: str, ranks: dict) -> None:
    axes.set_title(f"{block}\n{fill(spread(ranks), 28)}", loc="left", fontsize=8.5, linespacing=1.35)
    if ranks["window"] is None:
        _empty(axes, "not drawn by rank")
        return
    _bars(axes, ranks, plotting.PASSAGE)
    axes.set_xlabel("rank of the negative")


def _gaps(axes, found: dict) -> None:
    if found["gaps"] is None:
        _empty(axes, "the base has no vectors")
        return
    _bars(axes, found["gaps"], plotting.BETTER, plotting.WORSE)
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_title(f"mean {found['mean_gap']:.2f}, {100 * found['above_positive']:.1f} % below 0", loc="left",
                   fontsize=8.5)
    axes.set_xlabel("score, positive \N{MINUS SIGN} negative")


def _bars(axes, histogram: dict, colour: str, below_zero: str | None = None) -> None:
    edges, counts = np.array(histogram["edges"]), np.array(histogram["counts"])
    colours = [below_zero if below_zero and edge < 0 else colour for edge in edges[:-1]]
    axes.bar(edges[:-1], 100 * counts / max(1, counts.sum()), np.diff(edges), align="edge", color=colours,
             edgecolor="white", linewidth=0.4)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def _share_height(panels: list) -> None:
    for axes in panels:
        axes.set_ylim(0, max(other.get_ylim()[1] for other in panels))


def _share_width(panels: list) -> None:
    ends = [axes.get_xlim() for axes in panels]
    for axes in panels:
        axes.set_xlim(min(left for left, _ in ends), max(right for _, right in ends))


def _empty(axes, words: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.5")
