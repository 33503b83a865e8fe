"""Fusions in words: fine-tune, or just add another ranking, or both; and the weights that were tried."""

from collections.abc import Mapping, Sequence

from stages.evaluation import hybrids
from stages.evaluation import results as files
from stages.evaluation.comparison import BETTER, CANNOT_TELL, NO_DIFFERENCE, WORSE
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.params.report import Target
from stages.params.variants import WeightedSum
from stages.reporting import changes
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Span, Text, code, strong, text
from stages.reporting.training_logs import TrainingLog

MORE = {
    BETTER: "Fine-tuning does more",
    WORSE: "Fine-tuning does less",
    NO_DIFFERENCE: "Fine-tuning does no more",
    CANNOT_TELL: "Whether fine-tuning does more, these queries cannot tell",
}


def answered(study: Study, results: Sequence[Result], pairs: Sequence[Pair]) -> list[Text]:
    """One paragraph: what a hybrid of the base gains, whether the best fine-tuned variant does more, and both together.

    It says so where no such hybrid was measured, and nothing where no fine-tuned variant was either.
    """
    found, target, base = hybrids.named(study, results), study.report.in_domain, study.report.base
    if found.of_base is None and found.tuned is None:
        return []
    if found.of_base is None:
        start = strong("Fine-tune, or just add BM25?")
        told = " was measured here; a block of ", code("fusions"), " makes one."
        return [text(start, " This study does not tell: no hybrid of ", code(base), *told)]
    added = " and ".join(hybrids.beside(study, found.of_base, base))
    alone = files.at(results, target)[found.of_base]
    start = strong(f"Fine-tune, or just add {added}?") if found.tuned else strong(f"Just add {added}?")
    hybrid = code(found.of_base)
    gain = changes.on_target(alone, study.report.significance)
    parts: list[str | Span | Text] = [start, " Added to ", code(base), ", with nothing trained (", hybrid, f"), {gain}"]
    return [text(*parts, *_against_tuned(study, pairs, found), *_together(study, pairs, found))]


def _against_tuned(study: Study, pairs: Sequence[Pair], found: hybrids.Hybrids) -> list[str | Span | Text]:
    """Whether the best fine-tuned variant does more than the hybrid of the base."""
    if found.tuned is None or found.of_base is None:
        return []
    here = hybrids.pair(pairs, study.report.in_domain, found.tuned, found.of_base)
    if here is None:
        return [" It was not compared with ", code(found.tuned), "."]
    said = MORE[here.comparison.verdict or CANNOT_TELL]
    there = study.report.out_of_domain and hybrids.pair(pairs, study.report.out_of_domain, found.tuned, found.of_base)
    out = f"; out of domain {_verdict(study, there)}" if there else ""
    return [f" {said}: ", code(found.tuned), " against ", code(found.of_base), f" {_verdict(study, here)}{out}."]


def _together(study: Study, pairs: Sequence[Pair], found: hybrids.Hybrids) -> list[str | Span | Text]:
    """Whether the hybrid of the best fine-tuned variant does more than either."""
    if found.tuned is None:
        return []
    if found.of_tuned is None:
        return [" No hybrid of ", code(found.tuned), " was measured, so whether both together do more is open."]
    sides = [name for name in (found.tuned, found.of_base) if name]
    compared = {name: hybrids.pair(pairs, study.report.in_domain, found.of_tuned, name) for name in sides}
    known = {name: pair for name, pair in compared.items() if pair}
    if not known:
        return []
    better = len(known) == len(sides) == 2 and all(pair.comparison.verdict == BETTER for pair in known.values())
    said: list[str | Span | Text] = [" Both together do more than either" if better else " Both together"]
    said += [" (", code(found.of_tuned), "): "]
    for at, (name, pair) in enumerate(known.items()):
        said += ["; " if at else "", "against ", code(name), f" {_verdict(study, pair)}"]
    return [*said, "."]


def _verdict(study: Study, pair: Pair) -> str:
    level = f"{100 * (1 - study.report.significance):g} % interval {changes.ends(pair)}"
    return f"{changes.size(pair)} ({level}), {pair.comparison.verdict}"


def note(study: Study) -> Text:
    """What each fusion of a study is made of."""
    parts: list[str | Span | Text] = []
    for name, block in study.fusions.items():
        if isinstance(block, WeightedSum):
            how = "a weighted sum of scores" + ("" if block.weights is None else f", weights {_weights(block.weights)}")
        else:
            how = f"by reciprocal ranks, k = {block.k}"
        parts += [" " if parts else "", code(name), f" fuses {' and '.join(block.of)} ({how})."]
    return text(*parts)


def weights(study: Study, logs: Mapping[str, TrainingLog]) -> Table | None:
    """The report's measure on the split that chooses, at each weight of a fusion's first member; None without any.

    What was taken is bold. Of more than two members it is the best that each weight of the first came to.
    """
    tried = {name: log.fused for name, log in logs.items() if log.fused and log.fused.tried}
    target = study.report.choosing
    if not tried or target is None:
        return None
    steps = sorted({weights[0] for fused in tried.values() for weights, _ in fused.tried})
    lines: list[Sequence[Cell]] = []
    for name, fused in tried.items():
        total = sum(fused.weights)
        taken = [round(weight / total, 6) for weight in fused.weights]
        by_first = {step: max(value for weights, value in fused.tried if weights[0] == step) for step in steps}
        cells: list[Cell] = [
            strong(f"{value:.4f}") if taken[0] == step else f"{value:.4f}" for step, value in by_first.items()
        ]
        lines.append([name, " and ".join(fused.of), _weights(taken), *cells])
    return Table(["fusion", "of", "weights", *(f"first {step:g}" for step in steps)], lines, [_about(target)])


def _about(target: Target) -> Text:
    words = f"{target.measure} on {target.corpus} {target.split} at each weight of the first variant; bold was taken."
    return text(words, " No other split had a part in it.")


def _weights(weights: Sequence[float]) -> str:
    return " and ".join(f"{weight:g}" for weight in weights) or NOTHING
