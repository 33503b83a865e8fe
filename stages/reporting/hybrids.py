"""Fusions in words: fine-tune, or just add another ranking, or both; and the weights that were tried."""

from collections.abc import Mapping, Sequence

from stages.evaluation import hybrids
from stages.evaluation import results as files
from stages.evaluation.choice import compared
from stages.evaluation.comparison import BETTER, CANNOT_TELL, NO_DIFFERENCE, WORSE
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.params.report import Target
from stages.params.variants import WeightedSum
from stages.reporting import changes
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Span, Text, code, strong, text
from stages.reporting.training_logs import TrainingLog

Parts = list[str | Span | Text]


def answered(study: Study, results: Sequence[Result], pairs: Sequence[Pair]) -> list[Text]:
    """One paragraph: what a hybrid of the base gains, whether the best fine-tuned variant does more, and both together.

    It says so where no such hybrid was measured, and nothing where no fine-tuned variant was either.
    """
    found, base = hybrids.named(study, results), study.report.base
    if found.of_base is None and found.tuned is None:
        return []
    if found.of_base is None:
        start = strong("Fine-tune, or just add BM25?")
        told = " was measured here; a block of ", code("fusions"), " makes one."
        return [text(start, " This study does not tell: no hybrid of ", code(base), *told)]
    added = " and ".join(hybrids.beside(study, found.of_base, base))
    alone = files.at(results, study.report.in_domain)[found.of_base]
    gain = f"{changes.size(alone)} ({changes.ends(alone)}), {compared(alone).verdict}."
    first: Parts = [" ", code(found.of_base), f" adds {added} to ", code(base), f" and trains nothing: {gain}"]
    lead = strong(_lead(study, pairs, found, added))
    return [text(lead, *first, *_against_tuned(study, pairs, found), *_together(study, pairs, found))]


def _lead(study: Study, pairs: Sequence[Pair], found: hybrids.Hybrids, added: str) -> str:
    """What the comparisons in domain come to."""
    margin = f"{study.report.margin:g} %"
    verdicts = [
        pair.comparison.verdict if (pair := files.between(pairs, study.report.in_domain, *asked)) else None
        for asked in found.asked
    ]
    if verdicts[1:] == [BETTER, BETTER]:
        return f"In domain, {found.tuned} and {added} together do more than either:"
    said = {
        BETTER: f"In domain, {found.tuned} does more than just adding {added}:",
        WORSE: f"In domain, just adding {added} does more than {found.tuned}:",
        NO_DIFFERENCE: f"In domain, {found.tuned} and just adding {added} differ by less than {margin}:",
        CANNOT_TELL: f"Fine-tune, or just add {added}? These queries cannot tell:",
    }
    return said.get(verdicts[0] or "" if verdicts else "", f"Just adding {added}:")


def _against_tuned(study: Study, pairs: Sequence[Pair], found: hybrids.Hybrids) -> Parts:
    """Whether the best fine-tuned variant does more than the hybrid of the base, on each target."""
    if found.tuned is None or found.of_base is None:
        return []
    sides = _on_targets(study, pairs, found.tuned, found.of_base)
    told = (" against ", code(found.of_base), f": {sides}.") if sides else (" was not compared with it.",)
    return [" ", code(found.tuned), *told]


def _together(study: Study, pairs: Sequence[Pair], found: hybrids.Hybrids) -> Parts:
    """Whether the hybrid of the best fine-tuned variant does more than that of the base, and than the variant."""
    if found.tuned is None or found.of_base is None:
        return []
    if found.of_tuned is None:
        return [" No hybrid of ", code(found.tuned), " was measured, so whether both together do more is open."]
    told: Parts = [" Both together, ", code(found.of_tuned)]
    for against in (found.of_base, found.tuned):
        sides = _on_targets(study, pairs, found.of_tuned, against)
        told += ["; against " if len(told) > 2 else ", against ", code(against), f": {sides}"] if sides else []
    return [*told, "."] if len(told) > 2 else []


def _on_targets(study: Study, pairs: Sequence[Pair], variant: str, against: str) -> str:
    """The change, interval and verdict of two variants in domain and out of domain; "" where they were not compared."""
    compared = [files.between(pairs, target, variant, against) for target in study.report.targets]
    return "; ".join(
        f"{'' if pair.target == study.report.in_domain else 'out of domain '}{changes.size(pair)} "
        f"({changes.ends(pair)}), {pair.comparison.verdict}"
        for pair in compared
        if pair
    )


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
