"""The study's answer in words, for the report, the README, the page and a terminal; evaluation/choice.py decides it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from stages.evaluation import choice, per_query
from stages.evaluation import hybrids as evaluated
from stages.evaluation.choice import Choice, compared
from stages.evaluation.comparison import NO_DIFFERENCE, VERDICTS, WORSE
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.reporting import changes, hybrids, open_questions, other_bases
from stages.reporting.text import Text, code, plain, strong, text
from stages.reporting.training_logs import TrainingLog


def as_json(study: Study, results: Sequence[Result], pairs: Sequence[Pair] = ()) -> str:
    """The answer as data: advice (null without one), what was chosen and where, the results that judge it, in brief."""
    made, fused = choice.choose(study, results), hybrids.answered(study, results, pairs)
    if made is None:
        brief = [_no_answer(study), *fused]
        return json.dumps({"advice": None, "brief": [plain(line) for line in brief]}, indent=1) + "\n"
    folder = model(made)
    brief = [
        advice(study, made),
        *fused,
        selection(study, made),
        *_judged(study, made),
        text(f"Its model is in {folder}."),
    ]
    known = {
        "advice": made.advice,
        "chosen": made.chosen,
        "chosen_on": made.best.target.model_dump(),
        "apart": made.apart,
        "model": folder,
        "hybrids": asdict(evaluated.named(study, results)),
        "brief": [plain(line) for line in brief],
    }
    return json.dumps({**known, **asdict(made)}, indent=1) + "\n"


def model(made: Choice) -> str:
    """The folder of what was chosen; of several seed runs the one that is best where the choice was made."""
    if made.chosen == made.base:
        return f"data/models/{made.base}/{per_query.BASE_CHECKPOINT[0]}"
    runs = made.best.by_seed_run
    return f"data/models/{made.chosen}/{min(runs, key=lambda name: (-runs[name], name))}"


def paragraphs(
    study: Study, results: Sequence[Result], logs: Mapping[str, TrainingLog], pairs: Sequence[Pair] = ()
) -> list[Text]:
    """The answer as it opens the report and the README: advice, hybrids, choice, targets, cost, doubts, what else."""
    return [*opening(study, results, pairs), *background(study, results, logs, pairs)]


def opening(study: Study, results: Sequence[Result], pairs: Sequence[Pair] = (), changes: bool = True) -> list[Text]:
    """What the answer says first: advice, hybrids, choice, what targets say, warnings.

    Without `changes` it leaves out what the targets say, for a page that shows that in another form.
    """
    made, fused = choice.choose(study, results), hybrids.answered(study, results, pairs)
    if made is None:
        return [_no_answer(study), *fused]
    judged = _judged(study, made) if changes else []
    return [advice(study, made), *fused, text(selection(study, made), *_ahead(made)), *judged, *_warnings(study, made)]


def background(
    study: Study, results: Sequence[Result], logs: Mapping[str, TrainingLog], pairs: Sequence[Pair] = ()
) -> list[Text]:
    """What stands behind it: cost, how many variants have which verdict, what else there is, what would change it."""
    made = choice.choose(study, results)
    instead = [*other_bases.answered(study, results, pairs), *_reranked(study, results)]
    if made is None:
        return instead
    return [
        cost(made.best.variant, study, logs),
        counted(study, results, made),
        *instead,
        open_questions.paragraph(study, results, made),
    ]


def _no_answer(study: Study) -> Text:
    """That nothing can be said of fine-tuning in domain, why, and what would change that."""
    target, start = study.report.in_domain, strong("No answer yet:")
    elsewhere = dict.fromkeys(corpus for name in study.searchers for corpus in study.corpora_of(name))
    if choice.candidates(study) or not elsewhere:
        return text(start, f" no fine-tuned retriever has been measured on {target.corpus} {target.split}.")
    named = ", ".join(elsewhere)
    return text(
        start,
        f" the fine-tuned retrievers were trained on {named}, and {target.corpus} is another corpus: in domain there "
        "is nothing to judge. Where they are parts of one collection, give them the same ",
        code("group"),
        ".",
    )


def advice(study: Study, made: Choice) -> Text:
    """The first sentence: fine-tune, one checkpoint is better, keep the base, or cannot tell."""
    best, base, judged = code(made.best.variant), code(made.base), compared(made.in_domain)
    if made.advice == "fine-tune":
        return text(strong("Fine-tune:"), " the recipe of ", best, " ranks better than ", base, ".")
    if made.advice == "one checkpoint is better":
        first = strong("One checkpoint came out better, which is not yet a recipe:")
        return text(first, " ", best, f" with seed {study.seeds[0]}. ", _more_seeds(study))
    if made.advice == "cannot tell":
        return text(
            strong(f"Cannot tell with {judged.queries:,} queries"), " whether ", best, " is better than ", base, "."
        )
    keep = strong("Keep the base model:")
    if made.chosen == made.base:
        return text(keep, " no fine-tuned variant ranks better than ", base, f" on {_split(made.best)}.")
    if judged.verdict == NO_DIFFERENCE:
        return text(keep, " ", best, " differs from ", base, f" by less than {study.report.margin:g} %.")
    return text(keep, " ", best, " ranks worse than ", base, ".")


def _more_seeds(study: Study) -> Text:
    seeds = ",".join(str(study.seeds[0] + step) for step in range(3))
    return text("To judge the recipe, run ", code(f"dvc exp run -S 'seeds=[{seeds}]'"), ".")


def selection(study: Study, made: Choice) -> Text:
    """Where the variant was chosen, and by what figures."""
    best, of = code(made.best.variant), f"{made.candidates} fine-tuned variant{'' if made.candidates == 1 else 's'}"
    base, queries = made.best.base or 0.0, compared(made.best).queries
    figures = (
        f"{made.best.measure} goes from {base:.4f} to {base + compared(made.best).difference:.4f} "
        f"({changes.size(made.best)}, {queries:,} queries)"
    )
    place = _split(made.best)
    if made.chosen == made.base:
        return text("Of ", of, " ", best, f" comes closest on {place}: {figures}.", *_same_queries(study, made))
    return text(best, f" was chosen on {place}, as the best of {of}: {figures}.", *_same_queries(study, made))


def _same_queries(study: Study, made: Choice) -> list[str | Text]:
    """What to think of a choice that was made on the queries that judge it."""
    if made.apart:
        return [f" {_split(made.in_domain)} had no part in the choice."]
    asked, named = study.report.choosing, code("report.chosen_on")
    why = text(named, " names no other split")
    if asked and asked != study.report.in_domain:
        why = text(f"nothing is measured on {asked.corpus} {asked.split}, which ", named, " names")
    told = "): expect a smaller gain on other queries. The verdict takes into account how many variants were tried."
    return [text(" The same queries judge it (", why, told)]


def _ahead(made: Choice) -> list[str | Text]:
    """That another variant is ahead on the queries that judge, and why it is not the answer."""
    if made.ahead is None:
        return []
    result = made.ahead
    return [
        text(
            " There ",
            code(result.variant),
            f" is ahead ({changes.size(result)}, {compared(result).verdict}), but it was not chosen, and what comes "
            "out first of several looks better than it is.",
        )
    ]


def _judged(study: Study, made: Choice) -> list[Text]:
    """What the targets say of the best variant."""
    there = made.out_of_domain
    return [
        text(changes.on_target(made.in_domain, study.report.significance)),
        *([text(f"Out of domain, {changes.on_target(there, study.report.significance)}")] if there else []),
    ]


def _warnings(study: Study, made: Choice) -> list[Text]:
    """That a better variant is worse out of domain, or was not measured there."""
    if made.advice not in ("fine-tune", "one checkpoint is better"):
        return []
    if made.out_of_domain is None:
        missing = ("Nothing was measured out of domain: name a second corpus in ", code("report.out_of_domain"), ".")
        return [text(*missing)]
    worse = text(strong("It is worse out of domain:"), " use it for this collection only.")
    return [worse] if compared(made.out_of_domain).verdict == WORSE else []


def cost(variant: str, study: Study, logs: Mapping[str, TrainingLog]) -> Text:
    """What a fine-tuned variant takes: training steps, weights that move, and encoding."""
    block = study.interpolations.get(variant)
    trained = block.trained if block else variant
    run, recipe = logs[trained].seed_runs[0], study.recipes[study.trained[trained].recipe]
    if recipe is None:
        raise ValueError(f"{trained} has seed runs and no recipe")
    unit = "pairs" if recipe.loss.kind == "contrastive" else "triplets"
    searched = logs[trained].search
    batch = f"{run.mean_batch:.1f}" if run.left_out else f"{recipe.batch}"
    if searched and not run.left_out:
        batch = f"{searched.trials[searched.chosen].params.get('recipe.batch', recipe.batch)}"
    before = f" Its setting was chosen from {len(searched.trials)} trials." if searched else ""
    share = 100 * run.trainable / run.total
    asked = "" if study.tunings[study.trained[trained].tuning].kind == "peft" else ", and a query costs what it did"
    mixed = " Its weights are then interpolated with those of the base checkpoint." if block else ""
    return text(
        "Training ",
        code(variant),
        f" takes {run.steps:,} steps of {batch} {unit} and moves {run.trainable:,} weights "
        f"({share:.2f} % of the model).{before}{mixed} The whole collection has to be encoded again{asked}.",
    )


def counted(study: Study, results: Sequence[Result], made: Choice) -> Text:
    """How many fine-tuned variants have which verdict in domain, and what the verdicts rest on."""
    verdicts = choice.judged(results, study.report.in_domain)
    names = [name for name in choice.candidates(study) if name in verdicts]
    judged = [compared(verdicts[name]) for name in names]
    mixed = sum(name in study.interpolations for name in names)
    counts = [f"{sum(one.verdict == word for one in judged)} {word}" for word in VERDICTS]
    also = f" ({mixed} of them interpolated)" if mixed else ""
    queries = f"{judged[0].queries:,} queries in {judged[0].clusters:,} clusters"
    return text(
        f"Of {len(judged)} fine-tuned variant{'' if len(judged) == 1 else 's'}{also}, compared with ",
        code(made.base),
        f" in domain on {queries}: {', '.join(counts)}. ",
        *_limits(study, made),
    )


def _limits(study: Study, made: Choice) -> list[str | Text]:
    if len(study.seeds) > 1:
        return [f"The intervals count queries and {len(study.seeds)} seeds, so the verdicts are about the recipes."]
    told = made.advice == "one checkpoint is better"
    return [
        f"Each was trained with one seed ({study.seeds[0]}), so the verdicts are about these models: another seed may "
        "move a variant by some points.",
        *([] if told else [text(" ", _more_seeds(study))]),
    ]


def _reranked(study: Study, results: Sequence[Result]) -> list[Text]:
    """How the reranker does that is best where the choice is made; nothing where there is none."""
    here, there = (choice.judged(results, target) for target in (study.report.in_domain, study.report.out_of_domain))
    here = {name: result for name, result in here.items() if name in study.rerankers}
    if not here:
        return []
    tried = choice.measured(results, study.report.choosing, here) or here
    best = choice.highest(tried)
    name, result = best.variant, here[best.variant]
    on = f"On {compared(result).queries:,} of the queries, " if result.on_part else ""
    lines = [f"{on}{changes.on_target(result, study.report.significance)}"]
    if name in there:
        lines.append(f" Out of domain, {changes.on_target(there[name], study.report.significance)}")
    stage = (", which reranks what ", code(study.rerankers[name].first_stage), " retrieves. ")
    return [text(f"The best of {len(tried)} rerankers on {_split(best)} is ", code(name), *stage, *lines)]


def _split(result: Result) -> str:
    return f"{result.corpus} {result.split}"
