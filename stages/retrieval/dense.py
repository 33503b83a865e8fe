"""Exact top-k search over a memory map, in the order of `ranking`, whatever the blocks, shards, threads, processes."""

from collections.abc import Sequence

import numpy as np

from stages.core.errors import UserError
from stages.retrieval import ranking

SLACK = 16  # candidates beyond the depth
CANDIDATES = 16_000_000  # of all queries that are searched at a time
TOGETHER = 65_536  # candidates of a query that are scored at a time
ROUNDING = 2.0**-24  # of one float32 operation, relative


def top_k(
    queries: np.ndarray, vectors: np.ndarray, depth: int, block: int, places: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The `depth` best rows of `vectors` for each query by inner product: scores and row numbers, best first.

    queries is (q, d), vectors (n, d), of any length, read `block` rows at a time; both results are (q, min(depth, n)),
    float32 and int64. Order: that of ranking.order with places (n,), those of the rows' ids; without places the lower
    row number comes first among equals. Raises UserError where a vector holds nan or infinity.

    A matrix product's last bits depend on the shape of its blocks, so faiss only proposes: `depth` + SLACK candidates
    a block, whose scores are then computed one by one in float64 and rounded once. A query whose last place could
    still be taken by a row that faiss cut off is searched again with more candidates, as many queries at a time as
    CANDIDATES allows.
    """
    depth = min(depth, len(vectors))
    places = np.arange(len(vectors)) if places is None else places
    scores = np.empty((len(queries), depth), dtype=np.float32)
    rows = np.empty((len(queries), depth), dtype=np.int64)
    pending, wanted = np.arange(len(queries)), depth + SLACK
    while len(pending) and depth:
        unsure, together = [], max(1, CANDIDATES // wanted)
        for start in range(0, len(pending), together):
            part = pending[start : start + together]
            candidates, cut = _propose(queries[part], vectors, min(wanted, len(vectors)), block)
            scores[part], rows[part] = _best(queries[part], vectors, candidates, depth, places)
            unsure.append(part[cut >= scores[part, -1]])
        pending, wanted = np.concatenate(unsure), wanted * 8
    return scores, rows


def merged(
    found: Sequence[tuple[np.ndarray, np.ndarray]], depth: int, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The `depth` best of what `top_k` found for the same queries in each shard, its rows numbered as in the whole.

    Scores are those of a row alone, and equal ones fall by places (n,), those of all rows; so it is what `top_k` finds
    in the whole.
    """
    scores, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    first = ranking.order(scores, places[rows])[:, :depth]
    return np.take_along_axis(scores, first, axis=1), np.take_along_axis(rows, first, axis=1)


def _propose(queries: np.ndarray, vectors: np.ndarray, wanted: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (q, wanted) of the best candidates, and what no score that was cut off exceeds (q,) (or -inf)."""
    import faiss

    queries = np.ascontiguousarray(queries, dtype=np.float32)
    best = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    cut, longest = np.full(len(queries), -np.inf, dtype=np.float32), 0.0
    for start in range(0, len(vectors), block):
        part = np.ascontiguousarray(vectors[start : start + block], dtype=np.float32)
        longest = max(longest, _norms(part, "passage", start).max())
        scores, at = faiss.knn(queries, part, min(wanted, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
        if wanted < len(part):
            cut = np.maximum(cut, scores[:, -1])
        best, rows = np.hstack([best, scores]), np.hstack([rows, at + start])
        if best.shape[1] > wanted:
            keep = np.argpartition(-best, wanted - 1, axis=1)
            cut = np.maximum(cut, np.take_along_axis(best, keep[:, wanted:], axis=1).max(axis=1))
            best = np.take_along_axis(best, keep[:, :wanted], axis=1)
            rows = np.take_along_axis(rows, keep[:, :wanted], axis=1)
    return rows, (cut + _error(vectors.shape[1]) * _norms(queries, "query", 0) * longest).astype(np.float32)


def _error(dimension: int) -> float:
    """How far a float32 inner product in any order of addition is from the exact one, as a share of |q| |v|.

    At most d u / (1 - d u) with the unit roundoff u (Higham 2002, Accuracy and Stability of Numerical Algorithms,
    section 3.1); one rounding more for the score as it is reported.
    """
    operations = (dimension + 2) * ROUNDING
    return operations / (1 - operations)


def _norms(vectors: np.ndarray, side: str, first: int) -> np.ndarray:
    """The lengths (n,) of vectors (n, d), of which errors number the first so."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if not np.isfinite(norms).all():
        row = int(np.flatnonzero(~np.isfinite(norms))[0])
        raise UserError(
            f"the vector of {side} {first + row} holds nan or infinity; the model has diverged, train it again"
        )
    return norms


def _best(
    queries: np.ndarray, vectors: np.ndarray, candidates: np.ndarray, depth: int, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and row numbers (q, depth) of each query's best candidates (q, any), scored exactly.

    By einsum, which adds up every row in the same order: equal vectors get equal scores.
    """
    candidates = np.sort(candidates, axis=1)
    scores = np.empty(candidates.shape, dtype=np.float32)
    for at, query in enumerate(queries.astype(np.float64)):
        for start in range(0, candidates.shape[1], TOGETHER):  # all that tie with the last place may be many
            rows = candidates[at, start : start + TOGETHER]
            scores[at, start : start + TOGETHER] = np.einsum("ij,j->i", vectors[rows].astype(np.float64), query)
    first = ranking.order(scores, places[candidates])[:, :depth]
    return np.take_along_axis(scores, first, axis=1), np.take_along_axis(candidates, first, axis=1)
