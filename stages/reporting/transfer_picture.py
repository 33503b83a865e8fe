"""The picture of stages.transfer: each variant's change in domain and out of domain, and from full to LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stages.analysis.transfer import Transfer, VariantTransfer
from stages.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {"fine-tuned": "o", "interpolated": "s", "fused": "^", "without fine-tuning": "D"}
GREY = "0.45"


@style.styled
def scatter(transfer: Transfer) -> Figure:
    """Variants as points, an arrow from full fine-tuning to LoRA for each pair.

    Both axes are in per cent of the base. Names are in a column at the right, in the order of the points' heights,
    each joined to its point. Where only some variants are of a pair, a second panel has these alone, on a scale of
    their own. A variant without a change on both axes is left out.
    """
    points = _points(transfer)
    if not points:
        return style.notice("No variant has a change in per cent both in domain and out of domain.")
    arrows = [(pair.full, pair.lora) for pair in transfer.pairs if {pair.full, pair.lora} <= points.keys()]
    shown = [entry for entry in transfer.variants if entry.variant in points]
    shown.sort(key=lambda entry: points[entry.variant][1])
    paired = [entry for entry in shown if any(entry.variant in arrow for arrow in arrows)]
    panels = [shown, paired] if 0 < len(paired) < len(shown) else [shown]
    heights = [max(3.4, 0.6 + 0.22 * len(panel)) for panel in panels]
    figure = style.blank(0.5 + sum(heights))
    lines = style.lines(entry.variant for entry in transfer.variants if entry.domain.kind == "fine-tuned")
    every_axes = figure.subplots(len(panels), height_ratios=heights, squeeze=False)[:, 0]
    for axes, panel in zip(every_axes, panels, strict=True):
        _panel(axes, panel, points, arrows, lines)
        axes.set_ylabel(f"change of the mean {transfer.measure}\nout of domain, %")
    every_axes[-1].set_xlabel(f"change of {transfer.measure} in domain, % of {transfer.base}")
    if len(panels) > 1:
        every_axes[0].set_title("all variants", loc="left")
        every_axes[1].set_title("full fine-tuning and LoRA with the same recipe, enlarged", loc="left")
    keys = _keys(transfer.base, {entry.domain.kind for entry in shown}, bool(arrows))
    figure.legend(handles=keys, loc="outside lower center", ncols=6, handlelength=1.2, columnspacing=1.4)
    return figure


def _points(transfer: Transfer) -> dict[str, tuple[float, float]]:
    """Variant -> its changes in and out of domain, per cent; the base and what lacks one are left out."""
    points = {}
    for entry in transfer.variants:
        sides = [side.change() if side else None for side in (entry.in_domain, entry.out_of_domain)]
        if entry.variant != transfer.base and sides[0] is not None and sides[1] is not None:
            points[entry.variant] = (sides[0], sides[1])
    return points


def _panel(
    axes: Axes,
    shown: Sequence[VariantTransfer],
    points: dict[str, tuple[float, float]],
    arrows: Sequence[tuple[str, str]],
    lines: dict[str, dict[str, Any]],
) -> None:
    """Some variants, lowest first, with the arrows between them and the lines where nothing changes."""
    axes.axhline(0, color="0.2", linewidth=0.8, zorder=1)
    axes.axvline(0, color="0.2", linewidth=0.8, zorder=1)
    for number, entry in enumerate(shown):
        line = lines.get(entry.variant, {"color": GREY, "linestyle": "-"})
        _point(axes, entry, points[entry.variant], (number + 0.5) / len(shown), line)
    for full, lora in arrows:
        head = {"arrowstyle": "-|>", "color": "0.25", "linewidth": 1.1, "shrinkA": 4, "shrinkB": 4}
        axes.annotate("", points[lora], points[full], zorder=4, arrowprops=head)
    axes.plot(0, 0, "+", color="0.1", markersize=9, markeredgewidth=1.6, zorder=5)
    axes.margins(0.08)
    axes.grid(color="0.94", linewidth=0.8)
    axes.set_axisbelow(True)


def _point(axes: Axes, entry: VariantTransfer, point: tuple[float, float], height: float, line: dict[str, Any]) -> None:
    """A variant's marker, its interval out of domain, and its name at a height (0 to 1) of the right margin."""
    side = entry.out_of_domain
    low, high = (side.change("low"), side.change("high")) if side else (None, None)
    if low is not None and high is not None:
        axes.plot([point[0]] * 2, [low, high], color=line["color"], linewidth=1, alpha=0.35, zorder=2)
    marker: dict[str, Any] = {"markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.6}
    axes.plot(*point, MARKERS[entry.domain.kind], color=line["color"], zorder=5, **marker)
    leader = {"arrowstyle": "-", "linewidth": 0.7, "alpha": 0.6, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5), **line}
    name = f"{entry.variant}{'*' if entry.part else ''}"
    axes.annotate(name, point, (1.05, height), textcoords="axes fraction", va="center", color="0.15", arrowprops=leader)


def _keys(base: str, kinds: set[str], with_arrows: bool) -> list[Any]:
    """What the marks of the picture mean."""
    from matplotlib.lines import Line2D

    marks: dict[str, dict[str, Any]] = {
        kind: {"color": GREY, "marker": marker, "markersize": 6, "linestyle": ""}
        for kind, marker in MARKERS.items()
        if kind in kinds
    }
    marks[base] = {"color": "0.1", "marker": "+", "markersize": 8, "markeredgewidth": 1.6, "linestyle": ""}
    marks["interval out of domain"] = {"color": GREY, "linewidth": 1, "alpha": 0.5}
    if with_arrows:
        marks["from full to LoRA, same recipe"] = {"color": "0.25", "marker": ">", "markersize": 5, "linewidth": 1.2}
    return [Line2D([], [], label=label, **mark) for label, mark in marks.items()]
