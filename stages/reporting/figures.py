"""The three pictures of `visualize`: bars of change, training curves, and one projection of all variants."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.evaluation.results import Result
from stages.reporting import changes as changed
from stages.reporting import style
from stages.reporting.training_logs import VALIDATED, TrainingLog

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

DASHED = (0, (4, 3))


@style.styled
def changes(variants: Sequence[str], panels: Mapping[str, Mapping[str, Result]]) -> "Figure":
    """Each variant's change against the base in per cent of the base's value, one panel a target on one scale.

    panels maps a title to variant -> result; a variant without a comparison is said to have no run.
    """
    figure = style.blank(1.9 + 0.33 * max(2, len(variants)))
    axes_of = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    several = False
    for axes, (title, results) in zip(axes_of, panels.items(), strict=True):
        compared = {name: results[name] for name in variants if name in results and results[name].comparison}
        several |= any(len(result.by_seed_run) > 1 for result in compared.values())
        axes.set_title(_heading(title, list(compared.values())), loc="left", linespacing=1.4)
        for at, name in enumerate(variants):
            if name in compared:
                _bar(axes, at, compared[name])
            else:
                axes.text(1.02, at, "no run", transform=axes.get_yaxis_transform(), va="center", color="0.5")
        axes.axvline(0, color="0.2", linewidth=0.8)
        axes.set_xlabel("change against the base, %")
        axes.tick_params(axis="y", length=0)
    axes_of[0].set_yticks(range(len(variants)), variants)
    axes_of[0].set_ylim(len(variants) - 0.4, -0.6)
    keys = _keys_of_changes(several)
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), handlelength=1.2, columnspacing=1.4)
    return figure


def _keys_of_changes(several: bool) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Any] = [
        Patch(color=style.BETTER, label="better"),
        Patch(color=style.WORSE, label="worse"),
        Patch(color=style.UNCLEAR, label="cannot tell, or\nno difference"),
        Line2D([], [], color="0.15", linewidth=1.2, label="interval"),
        Patch(color="0.92", label="below the variant's own\nminimum detectable effect"),
    ]
    if several:
        seed: dict[str, Any] = {"marker": "o", "markersize": 3, "markerfacecolor": "white", "linestyle": ""}
        keys.append(Line2D([], [], color="0.15", label="one seed", **seed))
    return keys


def _heading(title: str, results: Sequence[Result]) -> str:
    if not results:
        return f"{title}\nno variant was measured here"
    whole = max(results, key=lambda result: result.comparison.queries if result.comparison else 0)
    seeds = max(len(result.by_seed_run) for result in results)
    queries = whole.comparison.queries if whole.comparison else 0
    return f"{title}, base {whole.base:.3f}\n{queries:,} queries, {'one seed' if seeds == 1 else f'{seeds} seeds'}"


def _bar(axes: "Axes", at: int, result: Result) -> None:
    assert result.comparison
    colour = style.of_verdict(result.comparison.verdict)
    words = _words(result)
    if result.base:
        _bar_of(axes, at, result, result.base, colour)
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 8.5}
    axes.text(1.02, at, words.replace("-", "−"), color="0.35" if colour == style.UNCLEAR else colour, **place)


def _words(result: Result) -> str:
    """The change and its interval; where the base has 0, the change in the measure's unit."""
    if not result.base or result.comparison is None:
        return f"{changed.size(result)} on a base of 0"
    ends = changed.interval(result).replace(" to ", ", ")
    return changed.signed(result.change()) + (f"  [{ends}]" if result.comparison.detectable is not None else "")


def _bar_of(axes: "Axes", at: int, result: Result, base: float, colour: str) -> None:
    change, *ends = np.array([result.change(figure) for figure in ("difference", "low", "high")], np.float64)
    axes.barh(at, change, height=0.62, color=colour, zorder=2)
    if (least := result.change("detectable")) is not None:
        axes.barh(at, 2 * least, left=-least, height=0.9, color="0.92", zorder=0)
        axes.plot(ends, [at, at], color="0.15", linewidth=1.2, zorder=3)
    if len(result.by_seed_run) > 1:
        seeds = [100 * (value - base) / base for value in result.by_seed_run.values()]
        dots: dict[str, Any] = {"markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7}
        axes.plot(seeds, [at] * len(seeds), "o", color="0.15", zorder=4, **dots)


@style.styled
def curves(logs: Mapping[str, TrainingLog], lines: Mapping[str, dict[str, Any]]) -> "Figure":
    """Validation RR@10 by step; lines has a colour and a dash for each variant of logs.

    Losses of unlike kinds have unlike units and are in the table; what all variants share is validation.
    """
    if not any(log.seed_runs for log in logs.values()):
        return style.notice("No variant of this study is fine-tuned.")
    figure = style.blank(3.8 + 0.2 * -(-len(logs) // 4))
    axes = figure.subplots()
    keys = []
    for name, log in logs.items():
        if shown := [curve for run in log.seed_runs if (curve := run.by_step(VALIDATED))]:
            _lines(axes, shown, lines[name], marker="o")
            keys.append(_key(name, linewidth=2, **lines[name]))
    axes.set_title(f"{VALIDATED} on a fixed sample of validation queries", loc="left")
    keys += _before(axes, logs.values())
    axes.set_xlabel("step")
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    if max(len(log.seed_runs) for log in logs.values()) > 1:
        keys.append(_key("one seed (thick: the mean)", color="0.4", linewidth=0.7))
    figure.legend(handles=keys, loc="outside lower center", ncols=4, handlelength=2.2, columnspacing=1.6)
    return figure


def _before(axes: "Axes", logs: Iterable[TrainingLog]) -> list["Line2D"]:
    """A dashed line where the base models are before training, or a word that nothing was validated."""
    first = {round(curve[0], 4) for log in logs for run in log.seed_runs if 0 in (curve := run.by_step(VALIDATED))}
    for value in sorted(first):
        axes.axhline(value, color="0.3", linewidth=1, linestyle=DASHED, zorder=1)
    if first:
        before = f"before training, {', '.join(f'{value:.3f}' for value in sorted(first))}"
        return [_key(before, color="0.3", linewidth=1, linestyle=DASHED)]
    words = "not measured: the corpus has no validation queries"
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color="0.4", fontsize=8.5)
    return []


def _key(label: str, **line: Any) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **line)


def _lines(axes: "Axes", curves: Sequence[dict[int, float]], line: dict[str, Any], marker: str) -> None:
    """Each seed run as a thin line where there are several, and their mean over the steps they share."""
    if not curves:
        return
    for values in curves if len(curves) > 1 else []:
        axes.plot(list(values), list(values.values()), linewidth=0.7, alpha=0.55, **line)
    steps = sorted(set.intersection(*(set(values) for values in curves)))
    few = marker if len(steps) <= 40 else ""
    means = [fmean([values[step] for values in curves]) for step in steps]
    axes.plot(steps, means, linewidth=2, marker=few, markersize=3.5, **line)


@style.styled
def projection(
    points: Mapping[str, np.ndarray], titles: Mapping[str, str], lines: Mapping[str, dict[str, Any]], caption: str
) -> "Figure":
    """One panel a variant, all with the same limits: n queries, their n passages, and a line from each to its own.

    points are (2n, 2), queries first; a panel has the variant's line at its top. Without points the caption says why.
    """
    if not points:
        return style.notice(caption)
    across = min(4, len(points))
    down = -(-len(points) // across)
    figure = style.blank(0.62 + down * (9 / across + 0.3) if across > 2 else 5.6)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    cloud = np.vstack(list(points.values()))
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    centre, reach = (low + high) / 2, 0.54 * (high - low).max()
    for axes in panels[len(points) :]:
        axes.remove()
    for axes, (name, place) in zip(panels, points.items(), strict=False):
        _cloud(axes, place)
        limits = [(middle - reach, middle + reach) for middle in centre]
        axes.set(xlim=limits[0], ylim=limits[1], xticks=[], yticks=[], aspect="equal")
        axes.set_title(titles[name], fontsize=8.5, loc="left", linespacing=1.35)
        for side in axes.spines.values():
            side.set(visible=True, color="0.8", linewidth=0.8)
        if name in lines:
            axes.spines["top"].set(**lines[name], linewidth=3)
    dot: dict[str, Any] = {"marker": "o", "markersize": 4, "linestyle": ""}
    keys = [
        _key("query", color=style.QUERY, **dot),
        _key("its relevant passage", color=style.PASSAGE, **dot),
        _key("one pair", color="0.45", linewidth=0.8),
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=3, handlelength=1.2, columnspacing=1.4)
    figure.supxlabel(caption, fontsize=8, color="0.25")
    return figure


def _cloud(axes: "Axes", points: np.ndarray) -> None:
    from matplotlib.collections import LineCollection

    half = len(points) // 2
    pairs = np.stack([points[:half], points[half:]], axis=1)
    axes.add_collection(LineCollection(list(pairs), colors="0.45", linewidths=0.35, alpha=0.5, zorder=1))
    mixed = pairs.reshape(-1, 2)  # in turn: no group hides the other
    axes.scatter(
        mixed[:, 0], mixed[:, 1], s=4.5, c=[style.QUERY, style.PASSAGE] * half, linewidths=0, alpha=0.85, zorder=2
    )
