"""Which fusions answer whether to fine-tune or just to add another ranking, such as BM25's, and if both together help.

A hybrid of a variant fuses its runs with those of variants that are not fine-tuned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.evaluation import choice
from stages.evaluation.results import Result
from stages.params import Study


@dataclass(frozen=True)
class Hybrids:
    """The hybrid of the base and that of the best fine-tuned variant; None where there is none in domain."""

    of_base: str | None
    tuned: str | None
    of_tuned: str | None

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What is to be compared with what: fine-tuned and hybrid, both together and each of them."""
        pairs = ((self.tuned, self.of_base), (self.of_tuned, self.tuned), (self.of_tuned, self.of_base))
        return [(one, other) for one, other in pairs if one and other]


def named(study: Study, results: Sequence[Result]) -> Hybrids:
    """The hybrids of a study's base and of its best fine-tuned variant; of several those that are best where it was."""
    made = choice.choose(study, results)
    tuned = made.best.variant if made else None
    return Hybrids(_of(study, results, study.report.base), tuned, _of(study, results, tuned) if tuned else None)


def _of(study: Study, results: Sequence[Result], variant: str) -> str | None:
    here = choice.judged(results, study.report.in_domain)
    found = [name for name in study.fusions if name in here and _is_hybrid(study, name, variant)]
    if not found:
        return None
    tried = choice.measured(results, study.report.choosing, found) or {name: here[name] for name in found}
    return choice.highest(tried).variant


def _is_hybrid(study: Study, fusion: str, variant: str) -> bool:
    members = study.members(fusion)
    return variant in members and not any(study.trained_on(name) for name in members if name != variant)


def beside(study: Study, fusion: str, variant: str) -> list[str]:
    """What a hybrid of a variant fuses with it."""
    return [name for name in study.members(fusion) if name != variant]
