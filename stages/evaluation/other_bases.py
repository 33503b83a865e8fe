"""Which other base checkpoint answers whether to fine-tune or to take another model as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.evaluation import choice
from stages.evaluation.results import Result
from stages.params import Study


@dataclass(frozen=True)
class OtherBase:
    """The best of `tried` other models without fine-tuning, and the best fine-tuned variant, compared with it."""

    variant: str
    tried: int
    tuned: str | None

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What is to be compared with what."""
        return [(self.tuned, self.variant)] if self.tuned else []


def named(study: Study, results: Sequence[Result]) -> OtherBase | None:
    """The best where the choice is made, else in domain; None where no other base was measured in domain."""
    here = choice.judged(results, study.report.in_domain)
    found = [name for name in _untrained(study) if name in here]
    if not found:
        return None
    tried = choice.measured(results, study.report.choosing, found) or {name: here[name] for name in found}
    made = choice.choose(study, results)
    return OtherBase(choice.highest(tried).variant, len(tried), made.best.variant if made else None)


def _untrained(study: Study) -> list[str]:
    """Retrievers of another checkpoint than the base's that nobody trained; BM25 is compared as a hybrid's part."""
    base = study.retrievers[study.report.base].checkpoint if study.report.base in study.retrievers else None
    return [
        name
        for name, block in study.retrievers.items()
        if study.trained_on(name) is None
        and block.checkpoint != base
        and study.checkpoints[block.checkpoint].architecture != "lexical"
    ]
