"""How long a study takes: seconds for each of its stages from measured rates, and the whole with several at once.

The fixed seconds are those of stages on two cores at work, each with a process of its own; REFERENCE is how long the
same machine took to start one that loads the libraries, by which other machines are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.core import graph
from stages.planning.measuring import Rates
from stages.running import schedule

if TYPE_CHECKING:
    from stages.params import Study
    from stages.params.variants import Retriever

REFERENCE = 6.0
FIXED = {
    "check": 1.0,
    "code": 2.0,
    "audit": 1.5,
    "cause": 6.0,
    "saturation": 4.0,
    "claims": 1.5,
    "costs": 1.0,
    "report": 1.0,
    "differences": 1.0,
    "examples": 1.0,
    "page": 2.0,
    "visualize": 1.5,
    "transfer": 1.5,
    "project": 5.0,
    "diagnose": 3.0,
    "evaluate": 2.0,
    "triplets": 2.0,
    "mine": 2.3,
    "search": 2.3,
    "fuse": 2.5,
    "checkpoint": 7.0,
    "interpolate": 2.5,
    "train": 4.0,
    "encode": 2.5,
    "train-reranker": 4.0,
    "train-tuned": 4.0,
    "tune": 6.0,
    "rerank": 3.0,
    "download": 2.0,
}
UNKNOWN = 3.0  # of a kind of stage that is not listed
OF_FULL = {"full": 1.0, "lora": 0.8}  # seconds of a step, next to those that move all weights
ANCHORED = 2.0  # the base reads each text as well, and the model once more
CACHED = 1.35  # gradient caching computes each text twice
UNPRUNED = 0.85  # of a search's work is done although some trials end early
TIMED = 3 * 8 * 64 * 12  # tokens of the queries that time an adapter, merged and not
A_QUERY = 5.5e-4  # seconds to evaluate a run's query
A_CLUSTER = 3.5e-4  # to compare a variant on it, 10,000 resamples
A_VARIANT = {"project": 2.0, "diagnose": 1.4, "transfer": 0.3, "visualize": 0.1, "page": 0.2}


@dataclass(frozen=True)
class Corpus:
    """Sizes of a corpus: its passages, the queries of each split, and mean tokens after the cut."""

    passages: int
    queries: Mapping[str, int]
    passage_tokens: float
    query_tokens: float

    @property
    def judged(self) -> int:
        return sum(number for split, number in self.queries.items() if split not in ("train", "validation"))


@dataclass(frozen=True)
class Speed:
    """Of one stage while others run beside it: tokens encoded and trained on a second, and how slow the rest is."""

    tokens: float
    query_tokens: float
    trained: float
    slowness: float


OTHER = Corpus(1360, {"test": 1479}, 82.0, 16.0)  # the collection that variants are checked on out of domain


def speed(rates: Rates, means: Mapping[str, float]) -> Speed:
    """The speed of a stage from measured rates; means are the tokens of a query and of a passage, cut.

    Short stages wait for the disk and for each other as well, and get more of a busy machine than those that compute.
    """
    triplet = means["query"] + 2 * means["passage"]
    return Speed(
        tokens=rates.passages * means["passage"] / rates.busy,
        query_tokens=rates.queries * means["query"] / rates.busy,
        trained=(rates.triplets or 1.0) * triplet / rates.busy,
        slowness=rates.busy**0.5 * min(3.0, max(0.5, rates.load / REFERENCE)),
    )


def seconds(
    study: Study, blocks: dict, pipeline: dict, corpora: Mapping[str, Corpus], speed: Speed
) -> dict[str, float]:
    """Stage -> how long it takes by itself, for all stages of a study."""
    return {
        one.name: FIXED.get(graph.plain(one.stage), UNKNOWN) * speed.slowness + _work(one, study, corpora, speed)
        for one in graph.instances(pipeline, blocks)
    }


def whole(blocks: dict, pipeline: dict, each: Mapping[str, float], jobs: int) -> float:
    """Seconds of the study from nothing, with so many stages at once."""
    needs = graph.needs(pipeline, blocks)
    first = {"check", "code"} & needs.keys()
    rest = {name: before - first for name, before in needs.items() if name not in first}
    return sum(each[name] for name in first) + schedule.makespan(rest, each, jobs)


def _work(one: graph.Instance, study: Study, corpora: Mapping[str, Corpus], speed: Speed) -> float:
    """Seconds that grow with the sizes, of one stage."""
    computed: dict[str, Callable[[], float]] = {
        "download": lambda: _download(study, corpora, one.key),
        "encode": lambda: _encode(study, corpora, one.key, speed),
        "train": lambda: _train(study, corpora, one.key, speed),
        "train-tuned": lambda: _train(study, corpora, one.key, speed),
        "tune": lambda: _tune(study, corpora, one.key, speed),
        "interpolate": lambda: len(study.interpolations[one.key].alphas) * _point(study, corpora, speed),
        "train-reranker": lambda: _train_reranker(study, corpora, one.key, speed),
        "rerank": lambda: _rerank(study, corpora, one.key, speed),
        "search": lambda: _search(study, corpora, one.key),
        "mine": lambda: sum(corpora[study.pools[one.key].corpus].queries.values()) / 1000 if one.key else 0,
        "evaluate": lambda: _evaluate(study, corpora),
    }
    kind = graph.plain(one.stage)
    grows = computed.get(kind, lambda: 0.0)()
    sampled = min(1.0, 0.3 + 0.7 * _sampled(study, corpora)) if kind == "project" else 1.0
    return grows + A_VARIANT.get(kind, 0.0) * sampled * speed.slowness * len(study.variants)


def _sampled(study: Study, corpora: Mapping[str, Corpus]) -> float:
    """How large the sample of the projection is, of the 200 pairs that its seconds are for."""
    return min(study.umap.pairs, corpora[study.umap.corpus].queries[study.umap.split]) / 200


def seed_runs(study: Study, variant: str) -> int:
    """How many models a variant that searches has."""
    block = study.interpolations.get(variant)
    trained = study.trained[block.trained if block else variant]
    return 1 if study.recipes[trained.recipe] is None else len(study.seeds)


def _on(key: str, study: Study) -> tuple[str, str]:
    """The variant and the corpus of a stage that is expanded over both."""
    return next((name, corpus) for name in study.searchers for corpus in study.corpora if f"{name}-{corpus}" == key)


def is_lexical(study: Study, variant: str) -> bool:
    """Whether a variant is BM25, which has no vectors."""
    block = study.retrievers.get(variant)
    return bool(block) and study.checkpoints[block.checkpoint].architecture == "lexical"  # type: ignore[union-attr]


def _download(study: Study, corpora: Mapping[str, Corpus], key: str) -> float:
    harvest = 30.0 if study.corpora[key].source.startswith("docstrings:") else 0.0
    return harvest + corpora[key].passages * corpora[key].passage_tokens / 4e6 + corpora[key].passages / 8000


def _encode(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    variant, name = _on(key, study)
    corpus = corpora[name]
    if is_lexical(study, variant):
        return corpus.passages * corpus.passage_tokens / 5e5
    return seed_runs(study, variant) * _texts(corpus, corpus.passages, sum(corpus.queries.values()), speed)


def _texts(corpus: Corpus, passages: float, queries: float, speed: Speed) -> float:
    return passages * corpus.passage_tokens / speed.tokens + queries * corpus.query_tokens / speed.query_tokens


def _search(study: Study, corpora: Mapping[str, Corpus], key: str) -> float:
    variant, name = _on(key, study)
    corpus = corpora[name]
    pairs = corpus.judged * corpus.passages * seed_runs(study, variant)
    return corpus.judged * seed_runs(study, variant) / 4000 + pairs / 2e8


def _tune(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    """Trials, of which some are ended early; each is scored on a sample of passages at every point."""
    block = study.searches[key]
    recipe, corpus = study.recipes[block.recipe], corpora[block.corpus]
    assert recipe
    asked = study.corpora[block.corpus].validation
    sampled = min(corpus.passages, asked * (1 + block.top) + block.random)
    steps = study.triplets[block.triplets].size / recipe.batch * recipe.epochs
    points = 2 + steps // study.validation_curve.every
    scored = points * _texts(corpus, sampled, asked, speed)
    return block.trials * (_steps(study, corpora, block, speed) + scored) * UNPRUNED


def _train(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    variant = study.trained[key]
    recipe = study.recipes[variant.recipe]
    if recipe is None:
        return -2.0 * speed.slowness  # it is copied
    curve = study.validation_curve
    steps = study.triplets[variant.triplets].size / recipe.batch * recipe.epochs
    points = 1 + steps / curve.every
    timed = 0.0 if study.tunings[variant.tuning].kind in ("full", "frozen") else TIMED / speed.query_tokens
    return len(study.seeds) * (_steps(study, corpora, variant, speed) + points * _point(study, corpora, speed) + timed)


def _steps(study: Study, corpora: Mapping[str, Corpus], variant: Retriever, speed: Speed) -> float:
    triplets, recipe, tuning = (
        study.triplets[variant.triplets],
        study.recipes[variant.recipe],
        study.tunings[variant.tuning],
    )
    assert recipe
    corpus = corpora[triplets.corpus]
    tokens = corpus.query_tokens + (1 + triplets.negatives_per_query) * corpus.passage_tokens
    cached = CACHED if getattr(recipe.loss, "mini_batch", None) else 1.0
    anchored = ANCHORED if recipe.regularizer else 1.0
    return triplets.size * recipe.epochs * tokens / speed.trained * OF_FULL.get(tuning.kind, 1.0) * cached * anchored


def _point(study: Study, corpora: Mapping[str, Corpus], speed: Speed) -> float:
    """One validation during training."""
    curve = study.validation_curve
    trained = [corpora[block.corpus] for block in study.triplets.values() if block.size]
    return 0.3 + (_texts(trained[0], curve.passages, curve.queries, speed) if trained else 0.0)


def _train_reranker(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    return len(study.seeds) * _steps(study, corpora, study.rerankers[key], speed)


def _rerank(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    """Every passage that some query has among its first ones is read once a block of queries."""
    total = 0.0
    for corpus in corpora.values():
        for split, number in corpus.queries.items():
            if split not in ("train", "validation"):
                asked = min(number, study.rerank.queries or number)
                read = corpus.passages * (1 - math.exp(-asked * study.rerank.depth / corpus.passages))
                total += _texts(corpus, read, asked, speed)
    return total * (1 if study.recipes[study.rerankers[key].recipe] is None else len(study.seeds))


def _evaluate(study: Study, corpora: Mapping[str, Corpus]) -> float:
    judged = sum(corpus.judged for corpus in corpora.values())
    others = len(study.variants) - len(study.searchers)
    runs = sum(seed_runs(study, name) for name in study.searchers) + others * len(study.seeds)
    return judged * (runs * A_QUERY + len(study.variants) * A_CLUSTER)
