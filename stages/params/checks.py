"""Names of params.yaml that point nowhere, and numbers that contradict each other, one sentence each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from typing import TYPE_CHECKING

from stages.params import fusions, plans, scale, search_checks, training_sets
from stages.params.losses import CROSS_ENCODER_LOSSES, LATE_INTERACTION_LOSSES, RETRIEVER_LOSSES, SEVERAL_NEGATIVES
from stages.params.models import RERANKING, SEARCHING
from stages.params.variants import Recipe, Reranker, Retriever

if TYPE_CHECKING:
    from stages.params.study import Study


def problems(study: Study) -> Iterator[str]:
    """What is wrong between the blocks of a study whose blocks are each right, the first problem first."""
    yield from training_sets.problems(study)
    yield from _corpora(study)
    yield from _checkpoints(study)
    yield from _retrievers(study)
    yield from _interpolations(study)
    yield from search_checks.problems(study)
    yield from fusions.problems(study)
    yield from _rerankers(study)
    yield from _pools(study)
    yield from _triplets(study)
    yield from _targets(study)
    yield from _pairs(study)
    yield from _stage_names(study)
    yield from scale.problems(study)
    if len(set(study.seeds)) < len(study.seeds):
        yield "seeds: one of them stands twice"


def _missing(where: str, name: str | None, table: Collection[str], kind: str) -> Iterator[str]:
    if name not in table:
        yield f"{where}: no {kind} is called '{name}'; there are: {', '.join(table)}"


def _corpora(study: Study) -> Iterator[str]:
    for key, corpus in study.corpora.items():
        if corpus.train is None and plans.trained_on(study, key):
            yield f"corpora.{key}: has no train split; {plans.without_training(study, key)}"


def _checkpoints(study: Study) -> Iterator[str]:
    for key, checkpoint in study.checkpoints.items():
        if checkpoint.architecture == "published-run":
            yield from _missing(f"checkpoints.{key}.corpus", checkpoint.corpus, study.corpora, "corpus")
            judged = study.corpora[checkpoint.corpus or ""].judged
            yield from _missing(f"checkpoints.{key}.split", checkpoint.split, judged, "judged split")


def _training(study: Study, where: str, variant: Retriever) -> Iterator[str]:
    """What the four names of a retriever or a reranker must have in common."""
    yield from _missing(f"{where}.checkpoint", variant.checkpoint, study.checkpoints, "checkpoint")
    yield from _missing(f"{where}.tuning", variant.tuning, study.tunings, "tuning")
    yield from _missing(f"{where}.triplets", variant.triplets, study.training_sets, "triplets block")
    yield from _missing(f"{where}.recipe", variant.recipe, study.recipes, "recipe")
    triplets, recipe = study.training_set(variant.triplets), study.recipes[variant.recipe]
    given = [study.tunings[variant.tuning].kind != "none", triplets.size > 0, recipe is not None]
    if any(given) and not all(given):
        yield f"{where}: tuning, triplets and recipe are either all 'none' (no fine-tuning) or none of them is"
    if recipe and all(given):
        yield from _recipe_and_triplets(study, where, variant, recipe)


def _recipe_and_triplets(study: Study, where: str, variant: Retriever, recipe: Recipe) -> Iterator[str]:
    triplets, name, loss = study.training_set(variant.triplets), variant.triplets, recipe.loss
    block = next(kind for kind in ("triplets", "scored", "mixes") if name in getattr(study, kind))
    if triplets.size < recipe.batch:
        yield f"{where}: {block}.{name}.size is less than one batch of recipes.{variant.recipe}"
    takes_several = loss.kind in SEVERAL_NEGATIVES or (loss.kind == "in-batch" and loss.hard_negatives)
    if triplets.negatives_per_query > 1 and not takes_several:
        yield (
            f"{where}: {block}.{name}.negatives_per_query is {triplets.negatives_per_query}; only the loss in-batch "
            f"with hard_negatives: true, {' and '.join(SEVERAL_NEGATIVES)} take several"
        )
    if loss.kind == "margin-mse" and triplets.scores is None:
        yield (
            f"{where}: the loss margin-mse needs a pool's scores or a teacher's, and {block}.{name} has none; draw "
            f"negatives from a pool, or name a block of scored"
        )
    if loss.kind == "distill-kl" and triplets.scores != "teacher":
        yield f"{where}: the loss distill-kl needs a teacher's scores; name a block of scored, not {block}.{name}"
    if recipe.select == "best" and not study.corpora[triplets.corpora[0]].validation:
        yield f"{where}: recipes.{variant.recipe} selects on validation, and corpora.{triplets.corpora[0]} has none"


def _retrievers(study: Study) -> Iterator[str]:
    for key, variant in study.retrievers.items():
        where = f"retrievers.{key}"
        yield from _training(study, where, variant)
        architecture = study.checkpoints[variant.checkpoint].architecture
        recipe = study.recipes[variant.recipe]
        if architecture in RERANKING:
            yield f"{where}: checkpoint '{variant.checkpoint}' is {architecture}, which reranks; move it to rerankers"
        if recipe and architecture not in SEARCHING:
            yield (
                f"{where}: checkpoint '{variant.checkpoint}' has no weights to tune; say 'none' for tuning, triplets "
                f"and recipe"
            )
        if recipe and recipe.loss.kind not in RETRIEVER_LOSSES:
            yield f"{where}: the loss of recipes.{variant.recipe} is for rerankers"
        similarity = study.checkpoints[variant.checkpoint].similarity
        if recipe and similarity and (why := recipe.contradiction(similarity)):
            yield f"{where}: recipes.{variant.recipe}: {why}"


def _interpolations(study: Study) -> Iterator[str]:
    for key, variant in study.interpolations.items():
        where = f"interpolations.{key}"
        if key in study.retrievers:
            yield f"{where}: a retriever has that name"
        yield from _missing(f"{where}.trained", variant.trained, study.retrievers, "retriever")
        trained = study.retrievers[variant.trained]
        if study.recipes[trained.recipe] is None:
            yield f"{where}.trained: '{variant.trained}' is not fine-tuned: nothing lies between it and its base"
        for name in ("checkpoint", "triplets"):
            if getattr(variant, name) != getattr(trained, name):
                yield f"{where}.{name}: must be '{getattr(trained, name)}', as variant '{variant.trained}' has it"
        corpus = study.training_set(variant.triplets).corpora[0]
        if not study.corpora[corpus].validation:
            yield f"{where}: alpha is chosen on validation, and corpora.{corpus} has no validation queries"


def _rerankers(study: Study) -> Iterator[str]:
    ranking = {**study.searchers, **study.fusions}
    for key, variant in study.rerankers.items():
        where = f"rerankers.{key}"
        if key in ranking:
            yield f"{where}: another variant has that name"
        yield from _training(study, where, variant)
        yield from _missing(f"{where}.first_stage", variant.first_stage, ranking, "variant that searches")
        yield from _architecture_of_reranker(study, where, variant)
        trained_first = study.trained_on(variant.first_stage)
        if not study.recipes[variant.recipe] and trained_first and len(study.seeds) > 1:
            yield (
                f"{where}: has one model and '{variant.first_stage}' one for each seed; train it, or let it follow a "
                f"variant without fine-tuning"
            )
        if study.rerank.depth > study.search.depth:
            yield f"rerank.depth: {study.rerank.depth} is more than search.depth {study.search.depth}"


def _architecture_of_reranker(study: Study, where: str, variant: Reranker) -> Iterator[str]:
    architecture, recipe = study.checkpoints[variant.checkpoint].architecture, study.recipes[variant.recipe]
    if architecture not in RERANKING:
        yield f"{where}: checkpoint '{variant.checkpoint}' is {architecture}; a reranker's is {' or '.join(RERANKING)}"
    if not recipe:
        return
    wanted = CROSS_ENCODER_LOSSES if architecture == "cross-encoder" else LATE_INTERACTION_LOSSES
    if recipe.loss.kind not in wanted:
        yield (
            f"{where}: recipes.{variant.recipe}.loss is {recipe.loss.kind}; for {architecture} it is "
            f"{' or '.join(wanted)}"
        )
    if architecture == "cross-encoder" and (recipe.regularizer or recipe.select == "best"):
        yield f"{where}: regularizer and select: best are for retrievers, and recipes.{variant.recipe} has one of them"
    plain = recipe.normalize is not False and not recipe.regularizer and recipe.select == "last"
    if architecture == "late-interaction" and not plain:
        yield (
            f"{where}: late interaction trains on unit vectors (normalize: true), without regularizer or select: best, "
            f"and recipes.{variant.recipe} says otherwise"
        )


def _pools(study: Study) -> Iterator[str]:
    for key, pool in study.pools.items():
        yield from _missing(f"pools.{key}.retriever", pool.retriever, study.retrievers, "retriever")
    for key, pool in study.pools.items():
        yield from _missing(f"pools.{key}.corpus", pool.corpus, study.corpora, "corpus")
        miner = study.retrievers[pool.retriever]
        if study.checkpoints[miner.checkpoint].architecture == "published-run":
            yield f"pools.{key}.retriever: '{pool.retriever}' is a published run and cannot rank training queries"
        if training_sets.trained_on_own_pool(study, key):
            yield f"pools.{key}.retriever: '{pool.retriever}' itself is trained on this pool; mine with another variant"


def _triplets(study: Study) -> Iterator[str]:
    for key, block in study.triplets.items():
        where = f"triplets.{key}"
        yield from _missing(f"{where}.corpus", block.corpus, study.corpora, "corpus")
        kind, name, *docpairs = block.negatives.split("/")
        known, noun = (study.corpora, "corpus") if kind == "corpora" else (study.pools, "pool")
        yield from _missing(f"{where}.from", name, known, noun)
        corpus = name if kind == "corpora" else study.pools[name].corpus
        if corpus != block.corpus:
            yield f"{where}.from: negatives come from corpus '{corpus}', queries from '{block.corpus}'"
        if docpairs and not study.corpora[name].releases_triplets:
            yield f"{where}.from: corpora.{name} names no docpairs, nor a negative of its pairs"
        if docpairs and block.negatives_per_query > 1:
            yield f"{where}.negatives_per_query: released triples have one negative each"
        if block.ranks and block.ranks[1] > study.pools[name].depth:
            yield (
                f"{where}.ranks: {list(block.ranks)} reaches beyond the depth {study.pools[name].depth} of pools.{name}"
            )


def _targets(study: Study) -> Iterator[str]:
    base = study.report.base
    yield from _missing("report.base", base, study.retrievers, "retriever")
    if study.recipes[study.retrievers[base].recipe]:
        yield f"report.base: '{base}' is fine-tuned itself; the base is a variant without fine-tuning"
    named = {"report.in_domain": study.report.in_domain, "report.out_of_domain": study.report.out_of_domain}
    for where, target in {**named, "umap": study.umap}.items():
        if target is not None:
            yield from _missing(f"{where}.corpus", target.corpus, study.corpora, "corpus")
            yield from _missing(f"{where}.split", target.split, study.corpora[target.corpus].judged, "judged split")
    for where, target in named.items():
        if target is not None:
            yield from _missing(f"{where}.measure", target.measure, study.measures, "measure")
    out, choosing = study.report.out_of_domain, study.report.choosing
    if out and choosing and (out.corpus, out.split) == (choosing.corpus, choosing.split):
        yield (
            f"report.chosen_on: '{out.split}' is the split of report.out_of_domain, which checks what was chosen; name "
            f"another judged split of corpora.{out.corpus}, or null"
        )
    for measure in study.measures:
        depth = measure.rpartition("@")[2]
        if depth.isdigit() and int(depth) > study.search.depth:
            yield f"measures: {measure} looks deeper than search.depth {study.search.depth}"


def _pairs(study: Study) -> Iterator[str]:
    seen: list[set[str]] = []
    for pair in study.report.pairs:
        for name in pair:
            yield from _missing("report.pairs", name, study.variants, "variant")
        if pair[0] == pair[1]:
            yield f"report.pairs: '{pair[0]}' is paired with itself"
        if {*pair} in seen:
            yield f"report.pairs: {' and '.join(pair)} stand twice"
        seen.append({*pair})


def _stage_names(study: Study) -> Iterator[str]:
    """DVC joins variant and corpus to the name of a stage, and of two stages of one name it keeps one, silently."""
    named: dict[str, tuple[str, str]] = {}
    for both in product(study.searchers, study.corpora):
        name = "-".join(both)
        if name in named:
            first = " on ".join(named[name])
            yield (
                f"corpora.{both[1]}: variant '{both[0]}' on it would have the stages of {first}, both are "
                f"called encode@{name}; rename one of them"
            )
        named[name] = both
