"""The study's answer, from the verdicts of its variants: fine-tune (which variant), do not, or cannot tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stages.evaluation import results as files
from stages.evaluation.comparison import BETTER, NO_DIFFERENCE, VERDICTS, WORSE, Comparison
from stages.evaluation.results import Result
from stages.params import Study
from stages.params.report import Report, Target
from stages.reporting import changes
from stages.reporting.text import Text, code, strong, text
from stages.reporting.training_logs import TrainingLog


@dataclass(frozen=True)
class Answer:
    """`variant` is the one to fine-tune, or that came nearest to a gain; None where none did, with no results then."""

    advice: Literal["fine-tune", "do not", "cannot tell"]
    variant: str | None = None
    in_domain: Result | None = None
    out_of_domain: Result | None = None


def decide(study: Study, results: Sequence[Result]) -> Answer | None:
    """Fine-tune: a fine-tuned variant is better in domain; of these one is chosen that is not worse out of domain,
    where there is one, and whose interval has the highest lower end. Do not: each is worse, or differs by less than the
    margin. Cannot tell: anything else. None where no fine-tuned variant was measured in domain.
    """
    here, there = (judged(results, target) for target in (study.report.in_domain, study.report.out_of_domain))
    compared = {name: here[name] for name in candidates(study) if name in here}
    if not compared:
        return None
    better = [name for name, result in compared.items() if _comparison(result).verdict == BETTER]
    harmless = [name for name in better if name not in there or _comparison(there[name]).verdict != WORSE]
    if better:
        best = max(harmless or better, key=lambda name: _comparison(compared[name]).low)
        return Answer("fine-tune", best, compared[best], there.get(best))
    if all(_comparison(result).verdict in (WORSE, NO_DIFFERENCE) for result in compared.values()):
        return Answer("do not")
    nearest = max(compared, key=lambda name: _comparison(compared[name]).difference)
    return Answer("cannot tell", nearest, compared[nearest], there.get(nearest))


def candidates(study: Study) -> list[str]:
    """The variants that the answer may name: fine-tuned retrievers, and interpolations of them with a base checkpoint.

    Only those that were trained on the corpus in domain or on one of its group.
    """

    def group(corpus: str) -> str:
        return study.corpora[corpus].group or corpus

    trained_on = {name: study.trained_on(name) for name in study.searchers}
    in_domain = group(study.report.in_domain.corpus)
    return [name for name, corpus in trained_on.items() if corpus and group(corpus) == in_domain]


def judged(results: Iterable[Result], target: Target | None) -> dict[str, Result]:
    """Variant -> its result on a target, for those whose comparison has a verdict."""
    here = files.at(results, target)
    return {name: result for name, result in here.items() if result.comparison and result.comparison.verdict}


def paragraphs(
    study: Study, results: Sequence[Result], logs: Mapping[str, TrainingLog], changes: bool = True
) -> list[Text]:
    """The answer as it opens the report and the README: advice, changes in and out of domain, cost, limits.

    Without `changes` it leaves out how its variant changed, for a page that shows that in another form.
    """
    answer = decide(study, results)
    if answer is None:
        return [text(strong("No answer yet:"), " ", _unanswered(study)), *_reranked(study, results)]
    change = f" {_change(answer.in_domain, study.report)}" if answer.in_domain and changes else ""
    lines = [text(advice(study, answer), change), *_out_of_domain(answer, study.report, changes)]
    if answer.variant:
        lines.append(text(cost(answer.variant, study, logs)))
    return [*lines, counted(study, results), *_reranked(study, results)]


def _unanswered(study: Study) -> Text:
    """Why nothing can be said of fine-tuning in domain, and what would change that."""
    target = study.report.in_domain
    elsewhere = dict.fromkeys(corpus for name in study.searchers if (corpus := study.trained_on(name)))
    if candidates(study) or not elsewhere:
        return text(f"no fine-tuned retriever has been measured on {target.corpus} {target.split}.")
    named = ", ".join(elsewhere)
    return text(
        f"the fine-tuned retrievers were trained on {named}, and {target.corpus} is another corpus: in domain there is "
        "nothing to judge. Where they are parts of one collection, give them the same ",
        code("group"),
        ".",
    )


def advice(study: Study, answer: Answer) -> Text:
    """The one sentence: fine-tune, do not, or cannot tell."""
    if answer.advice == "fine-tune":
        return text(
            strong("Fine-tune:"), " ", code(str(answer.variant)), " ranks better than ", code(study.report.base), "."
        )
    if answer.advice == "do not":
        limit = f"differs by less than {study.report.margin:g} %."
        return text(strong("Do not fine-tune"), " in any of the ways tried: each is worse than the base, or ", limit)
    queries = _comparison(answer.in_domain).queries if answer.in_domain else 0
    nearest = (" ", code(str(answer.variant)), " comes nearest to a gain.")
    return text(strong(f"Cannot tell with {queries:,} queries."), *nearest)


def _out_of_domain(answer: Answer, report: Report, changes: bool) -> list[Text]:
    """What is known of the answer's variant out of domain."""
    if answer.out_of_domain is None:
        missing = ("Nothing was measured out of domain: name a second corpus in ", code("report.out_of_domain"), ".")
        return [text(*missing)] if answer.advice == "fine-tune" else []
    lines = [text(f"Out of domain, {_change(answer.out_of_domain, report)}")] if changes else []
    if answer.advice == "fine-tune" and _comparison(answer.out_of_domain).verdict == WORSE:
        lines.append(text(strong("It is worse out of domain:"), " use it for this collection only."))
    return lines


def cost(variant: str, study: Study, logs: Mapping[str, TrainingLog]) -> str:
    """What a fine-tuned variant takes: training steps, weights that move, and encoding."""
    block = study.interpolations.get(variant)
    trained = block.trained if block else variant
    run, recipe = logs[trained].seed_runs[0], study.recipes[study.retrievers[trained].recipe]
    if recipe is None:
        raise ValueError(f"{trained} has seed runs and no recipe")
    unit = "pairs" if recipe.loss.kind == "contrastive" else "triplets"
    batch = f"{run.mean_batch:.1f}" if run.left_out else f"{recipe.batch}"
    share = 100 * run.trainable / run.total
    mixed = " Its weights are then interpolated with those of the base checkpoint." if block else ""
    return (
        f"Training takes {run.steps:,} steps of {batch} {unit} and moves {run.trainable:,} weights "
        f"({share:.2f} % of the model).{mixed} The whole collection has to be encoded again."
    )


def counted(study: Study, results: Sequence[Result]) -> Text:
    """How many fine-tuned variants have which verdict in domain, and what the verdicts rest on."""
    verdicts = judged(results, study.report.in_domain)
    compared = [_comparison(verdicts[name]) for name in candidates(study) if name in verdicts]
    mixed = sum(name in study.interpolations for name in candidates(study) if name in verdicts)
    counts = [f"{sum(one.verdict == word for one in compared)} {word}" for word in VERDICTS]
    also = f" ({mixed} of them interpolated)" if mixed else ""
    queries = f"{compared[0].queries:,} queries in {compared[0].clusters:,} clusters"
    return text(
        f"Of {len(compared)} fine-tuned variant{'' if len(compared) == 1 else 's'}{also}, compared with ",
        code(study.report.base),
        f" in domain on {queries}: {', '.join(counts)}. ",
        _limits(study.seeds),
        " A variant that is chosen because it came out best looks a little better than it is.",
    )


def _limits(seeds: Sequence[int]) -> Text:
    if len(seeds) > 1:
        return text(f"The intervals count queries and {len(seeds)} seeds, so the verdicts are about the recipes.")
    return text(
        f"Each was trained with one seed ({seeds[0]}), so the verdicts are about these models: another seed may move a "
        "variant by some points. Before you trust a recipe, run it with ",
        code("-S 'seeds=[1,2,3]'"),
        ".",
    )


def _reranked(study: Study, results: Sequence[Result]) -> list[Text]:
    """How the best reranker does against the base; nothing where there is none."""
    here, there = (judged(results, target) for target in (study.report.in_domain, study.report.out_of_domain))
    here = {name: result for name, result in here.items() if name in study.rerankers}
    if not here:
        return []
    best = max(here, key=lambda name: _comparison(here[name]).low)
    on = f"On {_comparison(here[best]).queries:,} of the queries, " if here[best].on_part else ""
    lines = [f"{on}{_change(here[best], study.report)}"]
    if best in there:
        lines.append(f" Out of domain, {_change(there[best], study.report)}")
    stage = (", which reranks what ", code(study.rerankers[best].first_stage), " retrieves. ")
    return [text(f"The best of {len(here)} rerankers is ", code(best), *stage, *lines)]


def _change(result: Result, report: Report) -> str:
    compared = _comparison(result)
    base = result.base or 0
    level = f"{100 * (1 - report.significance):g} % interval {changes.ends(result)}"
    return (
        f"{result.measure} on {result.corpus} {result.split} goes from {base:.4f} to {base + compared.difference:.4f}: "
        f"{changes.size(result)} ({level}), {compared.verdict}."
    )


def _comparison(result: Result) -> Comparison:
    if result.comparison is None:
        raise ValueError(f"{result.variant} was not compared on {result.target}")
    return result.comparison
