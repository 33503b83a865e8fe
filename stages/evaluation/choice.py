"""Which fine-tuned variant a study names: one split chooses it, and the target in domain judges it.

What is best on the queries that chose it looks better than it is (Cawley and Talbot 2010, On over-fitting in model
selection and subsequent selection bias in performance evaluation).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stages.evaluation import results as files
from stages.evaluation.comparison import BETTER, CANNOT_TELL, Comparison
from stages.evaluation.results import Result
from stages.params import Study
from stages.params.report import Target

Advice = Literal["fine-tune", "one checkpoint is better", "keep the base", "cannot tell"]


@dataclass(frozen=True)
class Choice:
    """The best fine-tuned variant on the split that chooses, and how the targets judge it.

    `best` is its result where it was chosen, among `candidates` variants. `in_domain` and `out_of_domain` (None where
    it was not measured) carry the verdicts of the tables. `ahead` is the result in domain of the candidate that is best
    there, where that is another one and above what was chosen.
    """

    base: str
    candidates: int
    best: Result
    in_domain: Result
    out_of_domain: Result | None
    ahead: Result | None

    @property
    def apart(self) -> bool:
        """Whether other queries chose than those that judge."""
        return self.best.target != self.in_domain.target

    @property
    def chosen(self) -> str:
        """The best fine-tuned variant, or the base where none is above it."""
        return self.best.variant if compared(self.best).difference > 0 else self.base

    @property
    def advice(self) -> Advice:
        """Fine-tune: the chosen variant is better, as a mean over several seeds; with one seed a checkpoint is.

        Keep the base: it is what was chosen, or the chosen variant is worse or surely no different.
        """
        judged = compared(self.in_domain)
        if self.chosen != self.base and judged.verdict == BETTER:
            return "fine-tune" if judged.seed_runs > 1 else "one checkpoint is better"
        return "cannot tell" if self.chosen != self.base and judged.verdict == CANNOT_TELL else "keep the base"


def choose(study: Study, results: Sequence[Result]) -> Choice | None:
    """The choice of a study; None where no fine-tuned variant has a verdict in domain.

    Where nothing is measured on report.chosen_on, the target in domain chooses as well.
    """
    report = study.report
    here, there = (judged(results, target) for target in (report.in_domain, report.out_of_domain))
    named = [name for name in candidates(study) if name in here]
    if not named:
        return None
    chosen_on = measured(results, report.choosing, named) or here
    tried = {name: chosen_on[name] for name in named if name in chosen_on}
    best, test = highest(tried), highest({name: here[name] for name in named})
    judge = here[best.variant]
    level = judge.value if compared(best).difference > 0 else judge.base or 0.0
    ahead = test if test.variant != best.variant and test.value > level else None
    return Choice(report.base, len(tried), best, judge, there.get(best.variant), ahead)


def candidates(study: Study) -> list[str]:
    """The variants that can be chosen: fine-tuned retrievers, and interpolations of them with a base checkpoint.

    Only those that were trained on the corpus in domain or on one of its group, alone or in a mix.
    """

    def group(corpus: str) -> str:
        return study.corpora[corpus].group or corpus

    in_domain = group(study.report.in_domain.corpus)
    return [name for name in study.searchers if in_domain in map(group, study.corpora_of(name))]


def judged(results: Iterable[Result], target: Target | None) -> dict[str, Result]:
    """Variant -> its result on a target, for those whose comparison has a verdict."""
    here = files.at(results, target)
    return {name: result for name, result in here.items() if result.comparison and result.comparison.verdict}


def measured(results: Iterable[Result], target: Target | None, names: Iterable[str]) -> dict[str, Result]:
    """Variant -> its result on a target, for the named ones that were compared with the base there."""
    here = files.at(results, target)
    return {name: here[name] for name in names if name in here and here[name].comparison}


def highest(results: Mapping[str, Result]) -> Result:
    """The result with the highest value; of equal ones that of the variant whose name comes first."""
    return min(results.values(), key=lambda result: (-result.value, result.variant))


def compared(result: Result) -> Comparison:
    """The comparison of a result that has one."""
    if result.comparison is None:
        raise ValueError(f"{result.variant} was not compared on {result.target}")
    return result.comparison
