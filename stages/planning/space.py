"""What a study takes on the disk and in memory, by the kind of stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stages.planning.shapes import WEIGHT, Shape
from stages.planning.speeds import Corpus
from stages.planning.timing import checkpoint, is_lexical, seed_runs
from stages.retrieval import runs
from stages.running import kinds

if TYPE_CHECKING:
    from stages.params import Study
    from stages.planning.measuring import Rates

CHARACTERS = 4.5  # of a token; texts are stored compressed, to about half
OF_INDEX = 6.0  # bytes of BM25's index for a token
OF_LINE = float(runs.LINE)
LIGHT = 500.0  # megabytes of a process that loads no model
IDS = 60.0  # bytes of memory for a passage in stages that hold the ids of a collection
A_PASSAGE = {"download": 200.0, "triplets": 150.0}  # and in those that compare its texts by their digests
INDEXING = 16.0  # bytes of memory for a token, when BM25 indexes (docs/scale.md has what was measured)
COMPUTES = kinds.HEAVY - kinds.TRAINING  # kinds of stages that load a model and do not train it


def disk(
    study: Study,
    corpora: Mapping[str, Corpus],
    dimension: int,
    weights: float,
    shapes: Mapping[str, Shape] | None = None,
) -> dict[str, float]:
    """Kind of stage -> megabytes that all of its kind write. DVC's cache has them too.

    `dimension` and `weights` (megabytes) are those of every checkpoint that is not in `shapes`.
    """
    known = {name: (shape.width, shape.weights * WEIGHT / 1e6) for name, shape in (shapes or {}).items()}
    number = {"float16": 2.0, "float32": 4.0}[study.index.dtype]

    def size_of(checkpoint: str) -> tuple[float, float]:
        width, megabytes = known.get(checkpoint, (dimension, weights))
        return width * number, megabytes * (2 if study.checkpoints[checkpoint].architecture == "asymmetric" else 1)

    tokens = sum(corpus.passages * corpus.passage_tokens for corpus in corpora.values())
    texts = sum(corpus.passages + sum(corpus.queries.values()) for corpus in corpora.values())
    judged = sum(corpus.judged for corpus in corpora.values())
    trained = sum(corpora[pool.corpus].queries.get("train", 0) * pool.depth for pool in study.pools.values())
    found = {
        "download": tokens * CHARACTERS / 2,
        "checkpoint": 1e6
        * sum(size_of(name)[1] for name, block in study.checkpoints.items() if block.architecture != "lexical"),
        "mine": trained * OF_LINE,
        "train-reranker": 1e6
        * sum(size_of(block.checkpoint)[1] * len(study.seeds) for block in study.rerankers.values()),
        "rerank": judged * study.search.depth * OF_LINE * len(study.rerankers) * len(study.seeds),
    }
    for name in study.searchers:
        ending = "-interpolated" if name in study.interpolations else "-tuned" if name in study.searches else ""
        seeds = seed_runs(study, name)
        vector, megabytes = size_of(checkpoint(study, name))
        made = {"interpolate" if name in study.interpolations else f"train{ending}": seeds * megabytes * 1e6}
        made[f"encode{ending}"] = seeds * texts * vector
        if is_lexical(study, name):
            made = {"encode": tokens * OF_INDEX}
        made[f"search{ending}"] = seeds * judged * study.search.depth * OF_LINE
        for kind, size in made.items():
            found[kind] = found.get(kind, 0.0) + size
    return {kind: size / 1e6 for kind, size in found.items()}


def memory(kind: str, rates: Rates, batch: int | None) -> float:
    """Megabytes of one stage of a kind at its peak; `batch` is that of training."""
    if kind in kinds.TRAINING and batch:
        return rates.megabytes * max(1.0, batch / rates.batch)
    return rates.encoding if kinds.of(kind) in COMPUTES else LIGHT
