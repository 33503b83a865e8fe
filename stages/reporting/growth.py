"""Would more training pairs help? A table, a verdict and a curve of variants that differ in their share of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.evaluation import growth
from stages.evaluation import results as files
from stages.evaluation.comparison import BETTER, CANNOT_TELL, NO_DIFFERENCE, WORSE
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.reporting import changes, style
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Text, code, picture, strong, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def blocks(study: Study, results: Sequence[Result], compared: Sequence[Pair]) -> list[Block]:
    """A part of the report with each group of variants; nothing where no two variants differ in their share alone."""
    found: list[Block] = []
    for group in growth.groups(study):
        found += [_table(study, group, results), *verdicts(study, group, compared)]
    if not found:
        return []
    shown = picture("RR over the number of training triplets", "figures/growth.png")
    return [Heading("Would more training pairs help?", 2), *found, shown]


def verdicts(study: Study, group: Sequence[str], compared: Sequence[Pair]) -> list[Text]:
    """What the last step of a group's curve says, on each target that was measured."""
    told = []
    large, small = group[-1], group[-2]
    sizes = [f"{study.triplets[study.retrievers[name].triplets].count:,}" for name in (small, large)]
    for target in study.report.targets:
        pair = files.between(compared, target, large, small)
        if pair is not None:
            level = f"{100 * (1 - study.report.significance):g} % interval {changes.ends(pair)}"
            step = (
                f" From {sizes[0]} to {sizes[1]} triplets {pair.measure} on {pair.corpus} {pair.split} goes from "
                f"{pair.base:.4f} (",
                code(small),
                f") to {pair.value:.4f} (",
                code(large),
                f"): {changes.size(pair)} ({level}), {pair.comparison.verdict}. ",
            )
            told.append(text(strong(_short(pair)), *step, _meaning(study, pair)))
    return told


def _short(pair: Pair) -> str:
    words = {BETTER: "More pairs helped.", WORSE: "More pairs hurt.", NO_DIFFERENCE: "More pairs changed nothing."}
    return words.get(pair.comparison.verdict or "", f"Cannot tell with {pair.comparison.queries:,} queries.")


def _meaning(study: Study, pair: Pair) -> str:
    """What a verdict says of pairs that nobody has yet, and what it leaves open."""
    margin = f"{study.report.margin:g} %"
    seeds = len(study.seeds)
    meanings = {
        BETTER: "The curve still rises at its end, so more pairs of the same kind are likely to help; how much, it "
        "does not say.",
        WORSE: "With this recipe more pairs of the same kind are not what is missing: look at its rate and length, and "
        "at what the pairs are like.",
        NO_DIFFERENCE: f"The step is surely smaller than {margin}, so more pairs of the same kind, with this recipe, "
        "are unlikely to help much.",
        CANNOT_TELL: "Whether more pairs would help stays open: these queries "
        f"{'and one seed' if seeds == 1 else f'and {seeds} seeds'} show neither a gain nor that there is none.",
    }
    return meanings[pair.comparison.verdict or CANNOT_TELL]


def _table(study: Study, group: Sequence[str], results: Sequence[Result]) -> Table:
    """A line for each variant of a group, with its value and change on each target."""
    heads: list[Cell] = ["variant", "share, %", "training triplets"]
    heads += [words for target in study.report.targets for words in (str(target), "change, % (interval)", "verdict")]
    by_target = [files.at(results, target) for target in study.report.targets]
    lines = []
    for name in group:
        block = study.triplets[study.retrievers[name].triplets]
        line: list[Cell] = [name, f"{100 * block.share:g}", f"{block.count:,}"]
        for here in by_target:
            line += _cells(here.get(name))
        lines.append(line)
    note = "A smaller share is drawn from queries that the larger ones have too. Changes are in per cent of the base."
    return Table(heads, lines, [note])


def _cells(result: Result | None) -> list[Cell]:
    if result is None or result.comparison is None:
        return [NOTHING] * 3
    return [f"{result.value:.4f}", changes.with_interval(result), result.comparison.verdict or NOTHING]


@style.styled
def curves(study: Study, results: Sequence[Result]) -> Figure:
    """Each group's value over its number of triplets, a panel a target, with intervals, seeds and the base's value.

    The intervals are those of the difference from the base, put on the base's value.
    """
    groups = growth.groups(study)
    figure = style.blank(3.6 + 0.2 * -(-len(groups) // 3))
    every_axes = figure.subplots(1, len(study.report.targets), squeeze=False)[0]
    lines = style.lines(group[-1] for group in groups)
    for axes, target in zip(every_axes, study.report.targets, strict=True):
        here = files.at(results, target)
        for group in groups:
            known = [name for name in group if name in here and here[name].comparison]
            _curve(axes, [study.triplets[study.retrievers[name].triplets].count for name in known], known, here, lines)
        if base := here.get(study.report.base):
            axes.axhline(base.value, color="0.4", linewidth=0.9, linestyle=(0, (4, 3)))
        axes.set_xscale("log", base=2)
        axes.set_title(str(target), loc="left")
        axes.set_xlabel("training triplets")
        axes.xaxis.set_major_formatter(lambda value, at: f"{value:,.0f}")
        axes.grid(axis="y", color="0.94", linewidth=0.8)
        axes.set_axisbelow(True)
    keys = _keys(study, lines)
    figure.legend(handles=keys, loc="outside lower center", ncols=4, handlelength=1.6, columnspacing=1.4)
    return figure


def _curve(
    axes: Axes, sizes: Sequence[int], names: Sequence[str], here: Mapping[str, Result], lines: Mapping[str, Any]
) -> None:
    """One group on one target."""
    shown = [here[name] for name in names]
    if not shown:
        return
    line = lines.get(names[-1], {"color": "0.4", "linestyle": "-"})
    axes.plot(sizes, [result.value for result in shown], marker="o", markersize=5, linewidth=1.4, zorder=4, **line)
    for size, result in zip(sizes, shown, strict=True):
        compared, base = result.comparison, result.base or 0.0
        if compared and compared.detectable is not None:
            ends = [base + compared.low, base + compared.high]
            axes.plot([size, size], ends, color=line["color"], linewidth=1, alpha=0.5, zorder=3)
        if len(result.by_seed_run) > 1:
            dots: dict[str, Any] = {"marker": "o", "markersize": 3, "markerfacecolor": "white", "linestyle": ""}
            axes.plot([size] * len(result.by_seed_run), [*result.by_seed_run.values()], color="0.3", zorder=5, **dots)


def _keys(study: Study, lines: Mapping[str, Any]) -> list[Any]:
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], label=f"up to {name}", marker="o", markersize=5, **line) for name, line in lines.items()]
    keys.append(Line2D([], [], label=study.report.base, color="0.4", linewidth=0.9, linestyle=(0, (4, 3))))
    keys.append(Line2D([], [], label="interval", color="0.4", linewidth=1, alpha=0.5))
    if len(study.seeds) > 1:
        dots: dict[str, Any] = {"marker": "o", "markersize": 3, "markerfacecolor": "white", "linestyle": ""}
        keys.append(Line2D([], [], label="one seed", color="0.3", **dots))
    return keys
