"""Another base checkpoint in words: fine-tune, or take another model as it is."""

from collections.abc import Sequence

from stages.evaluation import other_bases
from stages.evaluation import results as files
from stages.evaluation.choice import compared
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.reporting import changes
from stages.reporting.text import Text, code, text


def answered(study: Study, results: Sequence[Result], pairs: Sequence[Pair]) -> list[Text]:
    """One paragraph: what the best other base gains on each target, and the fine-tuned variant against it."""
    found = other_bases.named(study, results)
    if found is None:
        return []
    measured = [files.at(results, target).get(found.variant) for target in study.report.targets]
    gains = [
        f"{_where(study, result)}{changes.size(result)} ({changes.ends(result)}), {compared(result).verdict}"
        for result in measured
        if result and result.comparison
    ]
    models = "The other model" if found.tried == 1 else f"The best of {found.tried} other models"
    start = (f"{models} without fine-tuning is ", code(found.variant), ": against ", code(study.report.base))
    return [text(*start, f" {'; '.join(gains)}.", *_against(study, pairs, found))]


def _against(study: Study, pairs: Sequence[Pair], found: other_bases.OtherBase) -> list[str | Text]:
    if found.tuned is None:
        return []
    both = [files.between(pairs, target, found.tuned, found.variant) for target in study.report.targets]
    sides = "; ".join(
        f"{_where(study, pair)}{changes.size(pair)} ({changes.ends(pair)}), {pair.comparison.verdict}"
        for pair in both
        if pair
    )
    return [text(" ", code(found.tuned), f" against it: {sides}.")] if sides else []


def _where(study: Study, entry: Result | Pair) -> str:
    return "" if entry.target == study.report.in_domain else "out of domain "
