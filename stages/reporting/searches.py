"""What a search with a budget tried, what it chose, and what searching gained over the variant's own setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.evaluation import results as files
from stages.evaluation.results import Pair
from stages.params import Study
from stages.params.searches import own
from stages.reporting import changes, style
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Table
from stages.reporting.text import Heading, Text, code, picture, strong, text
from stages.reporting.training_logs import Search, TrainingLog
from stages.training import trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 200  # validation queries


def blocks(study: Study, logs: Mapping[str, TrainingLog], compared: Sequence[Pair]) -> list[Block]:
    """A part of the report for each search; nothing where nothing was searched."""
    found: list[Block] = []
    for name in study.searches:
        search = logs[name].search
        if search is None:
            raise ValueError(f"the training log of {name} holds no search")
        found += [
            Heading(f"Search: {name}", 3),
            _what(name, search),
            _settings(study, name, search),
            *gains(study, name, compared),
            picture(f"The trials of {name}", f"figures/search-{name}.png"),
        ]
    return found


def _what(name: str, search: Search) -> Text:
    """What was searched, how trials were scored, and what came of it."""
    chosen, known = search.trials[search.chosen], None if search.own is None else search.trials[search.own]
    ended = sum(trial.value is None for trial in search.trials)
    queries, passages = search.sample["queries"], search.sample["passages"]
    parts: list[str | Text] = [
        f" with the setting that ranked validation best of {len(search.trials)} trials ({ended} ended early). A trial "
        f"was trained with seed {search.seed} and scored by RR@10 of {queries:,} validation queries among {passages:,} "
        f"passages. Trial {chosen.number} was chosen with {chosen.value:.4f}",
    ]
    if known is None:
        parts.append("; the setting of the variant itself was not tried.")
    elif known.number == chosen.number:
        parts.append(": it is the setting of the variant itself, which no trial outranked.")
    else:
        parts.append(f"; the setting of the variant itself had {_value(known.value)}.")
    if queries < FEW:
        few = f" With {queries:,} queries settings that differ little can change places; "
        parts.append(text(few, code("validation"), " of the corpus gives a search more."))
    return text(code(name), " is ", code(search.variant), *parts)


def _settings(study: Study, name: str, search: Search) -> Table:
    """A line for each place that was searched: the space, the variant's own value, the chosen one."""
    block = study.searches[name]
    tuning, recipe = study.tunings[block.tuning], study.recipes[block.recipe]
    chosen = search.trials[search.chosen].params
    lines = []
    for place, axis in search.space.items():
        before = own(tuning, recipe, place) if tuning.kind != "none" and recipe else None
        lines.append([place, _space(axis), NOTHING if before is None else f"{before}", f"{chosen[place]}"])
    return Table(["setting", "searched", f"of {search.variant}", f"of {name}"], lines)


def gains(study: Study, name: str, compared: Sequence[Pair]) -> list[Text]:
    """A sentence for each target: the searched variant against the variant with its own setting."""
    level, variant = f"{100 * (1 - study.report.significance):g} %", study.searches[name].variant
    told = []
    for target in study.report.targets:
        if pair := files.between(compared, target, name, variant):
            told.append(
                text(
                    strong("The gain of searching:"),
                    f" on {pair.corpus} {pair.split} {pair.measure} goes from {pair.base:.4f} (",
                    code(variant),
                    f") to {pair.value:.4f} (",
                    code(name),
                    f"): {changes.size(pair)} ({level} interval {changes.ends(pair)}), {pair.comparison.verdict}.",
                )
            )
    return told


def _space(axis: Mapping[str, Any]) -> str:
    if "choices" in axis:
        return ", ".join(str(choice) for choice in axis["choices"])
    return f"{axis['low']:g} to {axis['high']:g}" + (" (by orders of magnitude)" if axis.get("log") else "")


def _value(value: float | None) -> str:
    return "been ended early" if value is None else f"{value:.4f}"


@style.styled
def trials_picture(search: Search) -> Figure:
    """The value of each trial over each setting, a panel a setting; the chosen trial is marked, and the variant's own.

    A trial that was ended early is hollow, at the last figure of its curve.
    """
    places = list(search.space)
    rows = -(-len(places) // 3)
    figure = style.blank(0.6 + 2.7 * rows)
    every_axes = figure.subplots(rows, min(3, len(places)), sharey=True, squeeze=False)
    for place, axes in zip(places, every_axes.flat, strict=False):
        _panel(axes, search, place)
    for axes in list(every_axes.flat)[len(places) :]:
        axes.set_visible(False)
    for axes in every_axes[:, 0]:
        axes.set_ylabel("RR@10 on validation")
    figure.legend(handles=_keys(search), loc="outside lower center", ncols=4, handlelength=1.2, columnspacing=1.4)
    return figure


def _panel(axes: Axes, search: Search, place: str) -> None:
    axis = search.space[place]
    choices = [str(choice) for choice in axis.get("choices", [])]
    for trial in search.trials:
        value: Any = trial.params[place]
        at = choices.index(str(value)) if choices else value
        axes.plot(at, _height(trial), zorder=3 + _rank(search, trial), **_mark(search, trial))
    if choices:
        axes.set_xticks(range(len(choices)), choices)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif axis.get("log"):
        axes.set_xscale("log")
    axes.set_xlabel(place)
    axes.grid(color="0.94", linewidth=0.8)
    axes.set_axisbelow(True)


def _height(trial: trials.Trial) -> float:
    return trial.curve[max(trial.curve)] if trial.value is None else trial.value


def _rank(search: Search, trial: trials.Trial) -> int:
    """What is drawn above what: the chosen trial above the variant's own above the others."""
    return 2 if trial.number == search.chosen else int(trial.number == search.own)


def _mark(search: Search, trial: trials.Trial) -> dict[str, Any]:
    if trial.number == search.chosen:
        return {"marker": "*", "markersize": 13, "color": style.BETTER, "markeredgecolor": "white", "linestyle": ""}
    if trial.number == search.own:
        return {"marker": "D", "markersize": 6, "color": style.WORSE, "markeredgecolor": "white", "linestyle": ""}
    face = "white" if trial.value is None else "0.45"
    return {"marker": "o", "markersize": 5, "color": "0.45", "markerfacecolor": face, "linestyle": ""}


def _keys(search: Search) -> list[Any]:
    """What the marks of this search's picture mean."""
    from matplotlib.lines import Line2D

    words = {}
    for trial in search.trials:
        label = "a trial" if trial.value is not None else "ended early, at its last figure"
        label = f"the setting of {search.variant}" if trial.number == search.own else label
        words["chosen" if trial.number == search.chosen else label] = _mark(search, trial)
    return [Line2D([], [], label=label, **mark) for label, mark in sorted(words.items())]
