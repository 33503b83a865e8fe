"""Whether a saved reranker is the one that was in memory: it is loaded plainly, as its users will, and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.core.errors import UserError
from stages.models.reloading import TEXTS

QUERIES = ["Wie viele EINWOHNER hat Paris ?", "a long query of many words " * 20]
TOLERANCE = 1e-5  # of the largest score: the same batches, on the same machine
BATCHING = 1e-3  # of the largest score: more than a batch's shape does to the last bits of a pair
TOGETHER = 2**20  # tokens: all pairs in one batch
Scores = Callable[[list[str], list[str]], np.ndarray]


def check(folder: Path, score: Callable[[list[str], list[str], int], np.ndarray], plain: Scores) -> None:
    """Raises UserError where a folder does not score pairs as the model that was saved to it.

    score(queries, passages, batch_tokens) are the scores (pairs,) of the model in memory, plain(queries, passages)
    those of a fresh one of the folder by the library's own methods. A pair must score alike alone and in a batch, too.
    """
    import torch

    queries = [query for query in QUERIES for _ in TEXTS]
    passages = TEXTS * len(QUERIES)
    with torch.random.fork_rng(devices=[]):
        mine, saved = score(queries, passages, TOGETHER), plain(queries, passages)
    largest = max(1.0, float(np.abs(mine).max()))
    gap = np.abs(mine - saved).max() / largest
    if not gap <= TOLERANCE:
        raise UserError(
            f"{folder}: the saved model is not the one that was measured: the scores of pairs differ by {gap:.1e} "
            f"when it is loaded plainly"
        )
    gap = np.abs(mine - score(queries, passages, 1)).max() / largest
    if not gap <= BATCHING:
        raise UserError(
            f"{folder}: a pair's score depends on the pairs that it is scored with, by {gap:.1e}: this model cannot be "
            f"measured"
        )
