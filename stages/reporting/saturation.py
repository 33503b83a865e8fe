"""The saturation study's page and picture: whether degradation grows with training, every level and every variant."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.analysis import ladder
from stages.analysis.saturation import Answers, VariantAtLevel
from stages.analysis.saturation_findings import Finding, Growth
from stages.analysis.saturation_questions import Questions
from stages.evaluation.comparison import BETTER, CANNOT_TELL, WORSE, per_cent
from stages.params.report import Report
from stages.reporting import changes, contrasts, style
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Items, Text, code, link, picture, strong, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUN = "python -m studies.saturation run"
SAYS = {
    ladder.GROWS: "degradation grows",
    ladder.DOES_NOT_GROW: "degradation does not grow",
    CANNOT_TELL: "cannot tell whether degradation grows",
}


def page(answers: Mapping[str, Answers], questions: Questions, report: Report, drawn: str) -> list[Block]:
    """The whole page, with the picture in the file `drawn`; before any run it says how to run the study."""
    ran = [collection for collection in answers.values() if collection.levels]
    title = Heading("Does degradation grow when the model was trained longer?", 1)
    if not ran:
        how = text(
            strong("Nothing has been run yet."),
            " ",
            code(RUN),
            " runs the documentation of scikit-learn and scipy. It asks:",
        )
        return [title, _opening(questions, report), how, Items(tuple(one.ask for one in questions.questions))]
    return [
        title,
        _opening(questions, report),
        contrasts.EARLIER,
        picture("Each recipe's change at each level, and the values themselves", drawn),
        Heading("What the runs support", 2),
        *(block for collection in ran for block in _answered(collection, questions)),
        Heading("What stays open", 2),
        *(f"Not run: {collection.title}." for collection in answers.values() if not collection.levels),
        *_scope(ran),
        *(block for collection in ran for block in _details(collection, questions, report)),
    ]


def _scope(ran: Sequence[Answers]) -> list[str]:
    sizes = sorted({f"{one.steps} steps of {one.batch} triplets" for one in ran if one.steps})
    return [
        "Each level is one model, trained with one seed: the intervals hold over queries and over seeds of the recipe, "
        "not over other ways to train a level. The levels were trained on the same training queries as the recipes, as "
        "the paper's base may have been trained on those of MS MARCO; a checkpoint that was trained longer has also "
        "seen them more often.",
        f"All recipes have a schedule of {' or '.join(sizes) or 'some steps'}; the paper's code trains for thousands "
        "of steps of 512 to 1,024. The negatives are hard for the base checkpoint, at every level alike; negatives "
        "mined by each level itself would be harder.",
        "Texts are encoded in float32, and in the cause study in bfloat16: that is why the base has a slightly other "
        "value there on the same queries.",
    ]


def _opening(questions: Questions, report: Report) -> Text:
    return text(
        "arXiv 2506.18535 explains its results by saturation: the base model had been trained on MS MARCO before. Here "
        "we set that by hand. One strong recipe trains the base checkpoint on the target for a number of steps, which "
        "gives the levels; then we apply the study's own recipes to each level, with the same triplets in the same "
        "order. We compare each model with its level query by query, and draw the least-squares line of the change "
        "over log2(1 + steps), from the first level to the last. Intervals "
        f"({100 * (1 - report.significance):g} %) are over clusters of queries and seeds, in per cent of the value of ",
        code(questions.base),
        f". “Does not grow” means surely by less than {report.margin:g} % from the first level to the last; the "
        "p-values of one question are corrected as a family. A change that goes down need not be below 0, so we also "
        "count the levels that the recipe degrades. We wrote the questions before any run: ",
        link("questions.yaml", "../studies/saturation/questions.yaml"),
        ".",
    )


def _where(collection: Answers) -> str:
    return f"{collection.title}: {collection.measure} on {collection.split}"


def _answered(collection: Answers, questions: Questions) -> list[Block]:
    blocks: list[Block] = [Heading(_where(collection), 3)]
    for question in collection.questions:
        blocks.append(text(strong(question.ask), f" {question.answer}."))
        lines = (f"{one.contrast.says}: {_finding(one, collection, questions)}" for one in question.findings)
        blocks.append(Items(tuple(lines)))
    return blocks


def _finding(finding: Finding, collection: Answers, questions: Questions) -> str:
    if finding.growth:
        return _growth(finding, finding.growth, collection, questions)
    if finding.values:
        value, before, base = finding.values
        where = "above the floor" if finding.contrast.verdict == BETTER else "not shown to be above the floor"
        return f"{value:.4f} after {before:.4f}, base {base:.4f}: {contrasts.span(finding.contrast)}, {where}"
    return contrasts.change(finding.contrast)


def _growth(finding: Finding, growth: Growth, collection: Answers, questions: Questions) -> str:
    contrast, levels = finding.contrast, questions.ladder
    at_levels = [one for one in _on_ladder(collection, growth.recipe, levels) if one.against_level.verdict == WORSE]
    at_each = ", ".join(changes.signed(per_cent(change, contrast.base)) for change in growth.changes)
    sentences = [
        SAYS[contrast.verdict],
        f"From {levels[0]} to {levels[-1]} the change moves by {contrasts.span(contrast)}, that is "
        f"{changes.signed(per_cent(growth.a_doubling, contrast.base), 2)} % for a doubling of steps",
        f"At the levels it is {at_each} %; {len(at_levels)} of {len(levels)} are worse",
    ]
    if contrast.verdict == CANNOT_TELL and (detectable := contrasts.detectable(contrast)):
        sentences.append(f"Before correction: {detectable}")
    if over := growth.over_values:
        sentences.append(
            f"Over the levels' own values on {over.split} ({over.lowest:.3f} to {over.highest:.3f}) it moves by "
            f"{changes.size(over.rise)} ({contrasts.interval(over.rise)})"
        )
    return ". ".join(sentences) + "."


def _on_ladder(collection: Answers, recipe: str, levels: Sequence[str]) -> list[VariantAtLevel]:
    return [variant for variant in collection.variants if variant.recipe == recipe and variant.level in levels]


def _details(collection: Answers, questions: Questions, report: Report) -> list[Block]:
    source = collection.source
    assert source
    made = (
        f": commit {source.commit[:12]}, {source.device}, torch {source.versions['torch']}, sentence-transformers "
        f"{source.versions['sentence-transformers']}."
    )
    return [
        Heading(_where(collection), 2),
        Heading("The levels", 3),
        _levels(collection, questions),
        Heading("All variants", 3),
        _variants(collection, report),
        text("Part ", code(source.part), made),
    ]


def _levels(collection: Answers, questions: Questions) -> Table:
    known = [f"on {collection.known}"] if collection.known else []
    heads = ["level", "trained from", "steps", "last loss", *known, f"on {collection.split}"]
    lines: list[list[Cell]] = []
    for level in collection.levels:
        line: list[Cell] = [code(level.level), level.trained_from or NOTHING, f"{level.steps:,}"]
        line += [NOTHING if level.last_loss is None else f"{level.last_loss:.3f}"]
        line += [] if level.known is None else [f"{level.known:.4f}"]
        line += [f"{level.value:.4f}", *(contrasts.cells(level.contrast) if level.contrast else ["", "", ""])]
        lines.append(line)
    return Table(
        [*heads, f"against {questions.base} %", "interval", "verdict"],
        lines,
        ["A level is one model: its interval is over queries alone."],
    )


def _variants(collection: Answers, report: Report) -> Table:
    heads = ["variant", "steps of the level", collection.measure, "against its level %", "interval", "verdict"]
    heads += ["against the base %", "interval", "verdict", "drift"]
    lines: list[list[Cell]] = [
        [
            code(variant.variant),
            f"{variant.steps:,}",
            f"{variant.value:.4f}",
            *contrasts.cells(variant.against_level),
            *contrasts.cells(variant.against_base),
            f"{variant.drift:.3f}",
        ]
        for variant in collection.variants
    ]
    first = collection.variants[0].against_level.comparison if lines else None
    over = (
        f"Over {first.queries:,} queries in {first.clusters:,} clusters and {first.seed_runs} seeds, in"
        if first
        else "In"
    )
    note = (
        f"{over} per cent of the base's value. Each column of verdicts is one family of "
        f"{len(lines)}, larger than those of the questions; no difference: within {report.margin:g} %. Drift is 1 - "
        "mean cosine of a passage's vector to its vector under the level."
    )
    return Table(heads, lines, [note])


@style.styled
def draw(answers: Mapping[str, Answers], questions: Questions) -> "Figure":
    """Two panels for each collection that was run, changes and values; a sentence where none was."""
    ran = [collection for collection in answers.values() if collection.levels]
    if not ran:
        return style.notice("The saturation study has not been run.")
    figure = style.blank(3.6 * len(ran) + 0.5)
    panels = figure.subplots(len(ran), 2, squeeze=False)
    lines = style.lines(questions.recipes)
    for (left, right), collection in zip(panels, ran, strict=True):
        _draw_changes(left, collection, questions, lines)
        _draw_values(right, collection, questions, lines)
    handles, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), columnspacing=1.4)
    return figure


def _draw_changes(axes: "Axes", collection: Answers, questions: Questions, lines: Mapping[str, dict[str, Any]]) -> None:
    for number, recipe in enumerate(questions.recipes):
        variants = _on_ladder(collection, recipe, questions.ladder)
        middle, low, high = (
            np.array([one.against_level.change(figure) for one in variants], np.float64)
            for figure in ("difference", "low", "high")
        )
        places = ladder.scale([variant.steps for variant in variants])
        places = places + 0.1 * (number - (len(questions.recipes) - 1) / 2)
        dots: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.2, "capsize": 2}
        axes.errorbar(places, middle, yerr=[middle - low, high - middle], **dots, **lines[recipe])
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_title(f"{collection.title}:\nchange against the level, % of the base", loc="left")
    _ticks(axes, collection, questions)


def _draw_values(axes: "Axes", collection: Answers, questions: Questions, lines: Mapping[str, dict[str, Any]]) -> None:
    levels = [level for level in collection.levels if level.level in questions.ladder]
    steps, values = [level.steps for level in levels], [level.value for level in levels]
    axes.plot(ladder.scale(steps), values, color="0.15", linewidth=2, marker="s", markersize=4, label="the level")
    for recipe, says in questions.recipes.items():
        variants = _on_ladder(collection, recipe, questions.ladder)
        places, values = ladder.scale([one.steps for one in variants]), [one.value for one in variants]
        axes.plot(places, values, marker="o", markersize=3.5, linewidth=1.2, label=says, **lines[recipe])
    axes.set_title(f"{collection.measure} on {collection.split}", loc="left")
    _ticks(axes, collection, questions)


def _ticks(axes: "Axes", collection: Answers, questions: Questions) -> None:
    steps = [level.steps for level in collection.levels if level.level in questions.ladder]
    places: np.ndarray = ladder.scale(steps)
    axes.set_xticks(places, [f"{count:,}" for count in steps])
    axes.set_xlabel("training steps of the level")
