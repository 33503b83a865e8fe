"""What would change the study's answer: more queries, more training pairs, other settings."""

from collections.abc import Sequence
from math import log10

from stages.evaluation import growth, other_bases
from stages.evaluation.choice import Choice, compared
from stages.evaluation.comparison import CANNOT_TELL
from stages.evaluation.results import Result
from stages.params import Study
from stages.reporting import changes
from stages.reporting.text import Text, code, strong, text


def paragraph(study: Study, results: Sequence[Result], made: Choice) -> Text:
    """What the queries can show, what an open verdict would take, and what this study did not try."""
    targets = [result for result in (made.in_domain, made.out_of_domain) if result]
    parts = [part for result in targets if (part := _queries(result))]
    return text(
        strong("What would change it:"),
        *(f" {part}" for part in parts),
        *_pairs(study),
        *_settings(study),
        *_models(study, results),
    )


def _queries(result: Result) -> str:
    """The smallest change that a target's queries find, and how many an undecided change of the size seen would take.

    The minimum detectable effect falls with the root of the number of queries (Cohen 1988).
    """
    judged, where = compared(result), f"{result.corpus} {result.split}"
    if not judged.detectable:
        return ""
    shows = f"{where} ({judged.queries:,} queries) can show a change of {changes.detectable(result)} % (80 % power)"
    if judged.verdict != CANNOT_TELL or not judged.difference:
        return f"{shows}."
    needed = judged.queries * (judged.detectable / judged.difference) ** 2
    if needed <= judged.queries:
        return f"{shows}."
    step = 10 ** max(0, int(log10(needed)) - 1)
    return (
        f"{shows}; one of the size seen, {changes.size(result)}, takes some {round(needed / step) * step:,} like them."
    )


def _pairs(study: Study) -> list[str | Text]:
    """That more training pairs were or were not tried."""
    if growth.groups(study):
        return [" Whether more training pairs would help is told below."]
    return [text(" Whether more training pairs would help was not tried: ", code("share"), " of triplets does that.")]


def _settings(study: Study) -> list[str | Text]:
    """That settings were or were not searched."""
    if study.searches:
        return []
    return [text(" Nor were settings searched: a block of ", code("searches"), " does, within a budget.")]


def _models(study: Study, results: Sequence[Result]) -> list[str | Text]:
    """That another model was or was not measured as it is."""
    if other_bases.named(study, results):
        return []
    said = " No other base checkpoint was measured: a retriever of another checkpoint with "
    return [text(said, code("tuning: none"), " is one.")]
