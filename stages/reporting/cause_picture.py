"""The cause study's picture: both losses on every collection, and what the learning rate makes of them."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from stages.analysis.cause import Studied, VariantChange
from stages.analysis.contrasts import Contrast
from stages.reporting import style
from stages.reporting.cause_abstract import HARM, MILD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {MILD: "loss of P1's text", HARM: "loss of P1's code"}
LABEL = 20  # characters a line in the name of a collection
SWEEPS = {
    "cos02": "text's loss, all weights",
    "raw5": "code's loss, all weights",
    "cos02-lora": "text's loss, LoRA",
    "raw5-lora": "code's loss, LoRA",
}


@style.styled
def draw(studied: Studied, sweeps: Mapping[str, Sequence[str]]) -> "Figure":
    """Two panels: change against the base by collection, at one rate, and change against drift in sweeps of rates."""
    figure = style.blank(4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    _by_collection(left, studied)
    ran = next(collection for collection in studied.collections.values() if collection.variants)
    _sweeps(right, {variant.variant: variant for variant in ran.variants}, sweeps)
    return figure


def _by_collection(axes: "Axes", studied: Studied) -> None:
    """The change of each loss on each collection; a filled point is a verdict, an empty one is none."""
    colors = style.lines(LOSSES.values())
    names: list[str] = []
    for offset, (finding, label) in zip((-0.15, 0.15), LOSSES.items(), strict=True):
        places = studied.abstract[finding].places if finding in studied.abstract else []
        names = names or [place.collection + (" (seen before)" if place.seen else "") for place in places]
        for at, place in enumerate(places):
            for contrast in place.contrasts:
                filled = place.state in ("holds", "opposite")
                color = colors[label]["color"]
                axes.errorbar(
                    _drawn(contrast),
                    at + offset,
                    xerr=_reach([contrast]),
                    fmt="o",
                    color=color,
                    markerfacecolor=color if filled else "white",
                    capsize=2,
                )
        axes.plot([], [], marker="o", color=colors[label]["color"], label=label)
    axes.set_yticks(range(len(names)), ["\n".join(wrap(name, LABEL)) for name in names])
    axes.set_ylim(len(names) + 0.3, -0.5)  # room for the legend below the last one
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_xlabel("change against the base, %")
    axes.set_title("One learning rate, by collection (filled: a verdict)", loc="left")
    if names:
        axes.legend(loc="lower left")


def _sweeps(axes: "Axes", variants: Mapping[str, VariantChange], sweeps: Mapping[str, Sequence[str]]) -> None:
    lines: dict[str, dict[str, Any]] = style.lines(sweeps)
    for name, members in sweeps.items():
        known = [variants[variant] for variant in members if variant in variants]
        drifts, moved = [fmean(one.drift) for one in known], [one.contrast for one in known]
        heights = [_drawn(contrast) for contrast in moved]
        axes.errorbar(
            drifts, heights, yerr=_reach(moved), marker="o", capsize=2, label=SWEEPS.get(name, name), **lines[name]
        )
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_xlabel("drift: 1 - mean cosine of passages to the base's")
    axes.set_ylabel("change against the base, %")
    axes.set_title("Four learning rates a sweep, the lowest at the left", loc="left")
    if axes.has_data():
        axes.legend(loc="lower left")


def _reach(contrasts: Sequence[Contrast]) -> list[list[float]]:
    """How far the intervals reach below and above the changes, in per cent: 2 x contrasts."""
    return [
        [_drawn(one) - _drawn(one, "low") for one in contrasts],
        [_drawn(one, "high") - _drawn(one) for one in contrasts],
    ]


def _drawn(contrast: Contrast, figure: str = "difference") -> float:
    """A figure in per cent; NaN, which is not drawn, where there is none."""
    share = contrast.change(figure)
    return float("nan") if share is None else share
