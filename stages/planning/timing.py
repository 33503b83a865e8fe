"""How long a study takes: seconds for each of its stages from measured rates, and the whole with several at once.

The fixed seconds are those of stages on two cores at work, each with a process of its own; REFERENCE is how long the
same machine took to start one that loads the libraries, by which other machines are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from stages.core import graph
from stages.planning import training_time
from stages.planning.speeds import Corpus, Speed, texts
from stages.running import schedule

if TYPE_CHECKING:
    from stages.params import Study

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
A_QUERY = 5.5e-4  # seconds to evaluate a run's query
A_CLUSTER = 3.5e-4  # to compare a variant on it, 10,000 resamples
DIGESTED, DRAWN = 1.5e5, 2e4  # passages a second whose texts are compared, triplets that are drawn or audited
A_VARIANT = {"project": 2.0, "diagnose": 1.4, "transfer": 0.3, "visualize": 0.1, "page": 0.2}


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
        "train": lambda: training_time.train(study, corpora, one.key, speed),
        "train-tuned": lambda: training_time.train(study, corpora, one.key, speed),
        "tune": lambda: training_time.tune(study, corpora, one.key, speed),
        "interpolate": lambda: len(study.interpolations[one.key].alphas) * training_time.point(study, corpora, speed),
        "train-reranker": lambda: training_time.train_reranker(study, corpora, one.key, speed),
        "rerank": lambda: _rerank(study, corpora, one.key, speed),
        "search": lambda: _search(study, corpora, one.key, speed),
        "mine": lambda: _mine(study, corpora, one.key, speed),
        "triplets": lambda: _triplets(study, corpora, one.key),
        "audit": lambda: sum(block.size for block in study.triplets.values()) / DRAWN,
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


def checkpoint(study: Study, variant: str) -> str:
    """The checkpoint that a variant which searches or reranks starts from."""
    if variant in study.interpolations:
        return study.interpolations[variant].checkpoint
    return (study.rerankers.get(variant) or study.trained[variant]).checkpoint


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
    by = speed.of(checkpoint(study, variant))
    return seed_runs(study, variant) * texts(corpus, corpus.passages, sum(corpus.queries.values()), by)


def _search(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    variant, name = _on(key, study)
    return seed_runs(study, variant) * _ranked(corpora[name].judged, corpora[name].passages, speed)


def _mine(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    corpus = corpora[study.pools[key].corpus]
    return _ranked(corpus.queries.get("train", 0), corpus.passages, speed)


def _ranked(queries: int, passages: int, speed: Speed) -> float:
    return queries / 4000 + queries * passages / speed.searched


def _triplets(study: Study, corpora: Mapping[str, Corpus], key: str) -> float:
    block = study.triplets[key]
    return (corpora[block.corpus].passages / DIGESTED + len(study.seeds) * block.size / DRAWN) if block.size else 0.0


def _rerank(study: Study, corpora: Mapping[str, Corpus], key: str, speed: Speed) -> float:
    """Late interaction reads each passage that a query has among its first ones once, a cross-encoder every pair."""
    block, total = study.rerankers[key], 0.0
    speed = speed.of(block.checkpoint)
    together = study.checkpoints[block.checkpoint].architecture == "cross-encoder"
    for corpus in corpora.values():
        for split, number in corpus.queries.items():
            if split not in ("train", "validation"):
                asked = min(number, study.rerank.queries or number)
                pairs = asked * study.rerank.depth
                read = corpus.passages * (1 - math.exp(-pairs / corpus.passages))
                total += texts(corpus, pairs, pairs, speed) if together else texts(corpus, read, asked, speed)
    return total * (1 if study.recipes[block.recipe] is None else len(study.seeds))


def _evaluate(study: Study, corpora: Mapping[str, Corpus]) -> float:
    judged = sum(corpus.judged for corpus in corpora.values())
    others = len(study.variants) - len(study.searchers)
    runs = sum(seed_runs(study, name) for name in study.searchers) + others * len(study.seeds)
    return judged * (runs * A_QUERY + len(study.variants) * A_CLUSTER)
