"""Variants compared with each other, and every measure of every variant on every split."""

from collections.abc import Mapping, Sequence

from stages.evaluation import results as files
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.params.report import Target
from stages.reporting import changes
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, strong, text
from stages.reporting.training_logs import TrainingLog
from stages.reporting.training_table import steps_to_quality


def pairs(study: Study, compared: Sequence[Pair], logs: Mapping[str, TrainingLog]) -> list[Block]:
    """Variants compared with each other on the queries that both have, and how soon each reached the same quality."""
    if not compared:
        return ["No pair of variants was compared; name some in report.pairs."]
    heads = [
        "variants",
        "target",
        "values",
        "change, % (interval)",
        "verdict",
        "queries better / worse / equal",
        "training steps to the same quality",
    ]
    lines = [_pair(pair, logs) for pair in compared]
    level = f"{100 * (1 - study.report.significance):g} %"
    note = (
        f"Changes are in per cent of the second variant's value, with {level} intervals; the pairs of a target are one "
        "family. The same quality is the best that both reached on the validation sample (the mean over their seeds), "
        "and the steps are those after which each first reached it."
    )
    return [Table(heads, lines, [note])]


def _pair(pair: Pair, logs: Mapping[str, TrainingLog]) -> list[Cell]:
    compared = pair.comparison
    return [
        text(strong(pair.variant), " against ", strong(pair.against)),
        str(pair.target),
        f"{pair.value:.4f} against {pair.base:.4f}",
        changes.with_interval(pair),
        compared.verdict or NOTHING,
        f"{compared.better} / {compared.worse} / {compared.equal}",
        steps_to_quality(*(logs.get(name, TrainingLog(name)) for name in (pair.variant, pair.against))),
    ]


def measures(study: Study, results: Sequence[Result]) -> list[Block]:
    """One table for each corpus and split: variants by measures."""
    blocks: list[Block] = []
    for corpus, collection in study.corpora.items():
        for split, rules in collection.judged.items():
            by_measure = [
                files.at(results, Target(corpus=corpus, split=split, measure=measure)) for measure in study.measures
            ]
            lines = [
                [variant, *(_value(by_variant.get(variant)) for by_variant in by_measure)]
                for variant in study.variants
                if any(variant in by_variant for by_variant in by_measure)
            ]
            few = next((one for by_variant in by_measure for one in by_variant.values() if one.on_part), None)
            note = f"Relevant from grade {rules.rel}."
            if few and few.comparison:
                note += f" *: on {few.comparison.queries:,} of {few.of:,} queries."
            blocks += [Heading(f"{corpus} {split}", 3), Table(["variant", *study.measures], lines, [note])]
    return blocks


def _value(result: Result | None) -> str:
    if result is None:
        return NOTHING
    spread = f" ± {result.spread:.4f}" if result.spread is not None else ""
    return f"{result.value:.4f}{spread}{'*' if result.on_part else ''}"
