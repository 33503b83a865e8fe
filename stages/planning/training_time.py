"""How long training takes: a variant's models, a reranker's, and the trials of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stages.planning.speeds import Corpus, Speed, texts

if TYPE_CHECKING:
    from stages.params import Study
    from stages.params.variants import Retriever

OF_FULL = {"full": 1.0, "lora": 0.8}  # seconds of a step, next to those that move all weights
ANCHORED = 2.0  # the base reads each text as well, and the model once more
CACHED = 1.35  # gradient caching computes each text twice
UNPRUNED = 0.85  # of a search's work is done although some trials end early
TIMED = 3 * 8 * 64 * 12  # tokens of the queries that time an adapter, merged and not


def tune(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    """Trials, of which some are ended early; each is scored on a sample of passages at every point."""
    block = study.searches[key]
    recipe, corpus = study.recipes[block.recipe], corpora[block.corpus]
    speed = speed.of(block.checkpoint)
    assert recipe
    asked = study.corpora[block.corpus].validation
    sampled = min(corpus.passages, asked * (1 + block.top) + block.random)
    steps = study.training_set(block.triplets).size / recipe.batch * recipe.epochs
    points = 2 + steps // study.validation_curve.every
    scored = points * texts(corpus, sampled, asked, speed)
    return block.trials * (_steps(study, corpora, block, speed) + scored) * UNPRUNED


def train(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    variant = study.trained[key]
    recipe = study.recipes[variant.recipe]
    if recipe is None:
        return -2.0 * speed.slowness  # it is copied
    curve, speed = study.validation_curve, speed.of(variant.checkpoint)
    steps = study.training_set(variant.triplets).size / recipe.batch * (recipe.stop or recipe.epochs)
    points = 1 + steps / curve.every
    timed = 0.0 if study.tunings[variant.tuning].kind in ("full", "frozen") else TIMED / speed.query_tokens
    return len(study.seeds) * (_steps(study, corpora, variant, speed) + points * point(study, corpora, speed) + timed)


def _steps(study: Study, corpora: Mapping[str, Corpus], variant: Retriever, speed: Speed) -> float:
    triplets, recipe, tuning = (
        study.training_set(variant.triplets),
        study.recipes[variant.recipe],
        study.tunings[variant.tuning],
    )
    assert recipe
    corpus = corpora[triplets.corpora[0]]
    pairs = 1 + triplets.negatives_per_query
    together = study.checkpoints[variant.checkpoint].architecture == "cross-encoder"  # the query is in each pair
    tokens = corpus.query_tokens * (pairs if together else 1) + pairs * corpus.passage_tokens
    cached = CACHED if getattr(recipe.loss, "mini_batch", None) else 1.0
    anchored = ANCHORED if recipe.regularizer else 1.0
    epochs = recipe.stop or recipe.epochs
    return triplets.size * epochs * tokens / speed.trained * OF_FULL.get(tuning.kind, 1.0) * cached * anchored


def point(study: Study, corpora: Mapping[str, Corpus], speed: Speed) -> float:
    """One validation during training."""
    curve = study.validation_curve
    trained = [corpora[block.corpus] for block in study.triplets.values() if block.size]
    return 0.3 + (texts(trained[0], curve.passages, curve.queries, speed) if trained else 0.0)


def train_reranker(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    block = study.rerankers[key]
    return (
        0.0
        if study.recipes[block.recipe] is None
        else len(study.seeds) * _steps(study, corpora, block, speed.of(block.checkpoint))
    )
