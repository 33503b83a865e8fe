"""Exact top-k search over a memory map, in one tie order, whatever the block or the number of threads."""

import numpy as np

SLACK = 16  # candidates beyond the depth
EPSILON = 1e-5  # more than a score can differ from faiss's
CANDIDATES = 16_000_000  # of all queries that are searched at a time


def top_k(queries: np.ndarray, vectors: np.ndarray, depth: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The `depth` best rows of `vectors` for each query by inner product: scores and row numbers, best first.

    queries is (q, d), vectors (n, d), read `block` rows at a time; both results are (q, min(depth, n)), float32 and
    int64. Order: higher score first, lower row number first among equals.

    A matrix product's last bits depend on the shape of its blocks, so faiss only proposes: `depth` + SLACK candidates
    a block, whose scores are then computed one by one in float64 and rounded once. A query whose last place could
    still be taken by a row that faiss cut off within EPSILON is searched again with more candidates, as many queries
    at a time as CANDIDATES allows.
    """
    depth = min(depth, len(vectors))
    scores = np.empty((len(queries), depth), dtype=np.float32)
    rows = np.empty((len(queries), depth), dtype=np.int64)
    pending, wanted = np.arange(len(queries)), depth + SLACK
    while len(pending):
        unsure, together = [], max(1, CANDIDATES // wanted)
        for start in range(0, len(pending), together):
            part = pending[start : start + together]
            candidates, cut = _propose(queries[part], vectors, min(wanted, len(vectors)), block)
            for at, query in enumerate(part):
                scores[query], rows[query] = _order(queries[query], vectors, candidates[at], depth)
                if cut[at] > scores[query, -1] - EPSILON:
                    unsure.append(query)
        pending, wanted = np.array(unsure, dtype=np.int64), wanted * 8
    return scores, rows


def _propose(queries: np.ndarray, vectors: np.ndarray, wanted: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (q, wanted) of the best candidates, and for each query the best score that was cut off (or -inf)."""
    import faiss

    queries = np.ascontiguousarray(queries, dtype=np.float32)
    best = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    cut = np.full(len(queries), -np.inf, dtype=np.float32)
    for start in range(0, len(vectors), block):
        part = np.ascontiguousarray(vectors[start : start + block], dtype=np.float32)
        scores, at = faiss.knn(queries, part, min(wanted, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
        if wanted < len(part):
            cut = np.maximum(cut, scores[:, -1])
        best, rows = np.hstack([best, scores]), np.hstack([rows, at + start])
        if best.shape[1] > wanted:
            keep = np.argpartition(-best, wanted - 1, axis=1)
            cut = np.maximum(cut, np.take_along_axis(best, keep[:, wanted:], axis=1).max(axis=1))
            best = np.take_along_axis(best, keep[:, :wanted], axis=1)
            rows = np.take_along_axis(rows, keep[:, :wanted], axis=1)
    return rows, cut


def _order(query: np.ndarray, vectors: np.ndarray, candidates: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and row numbers (depth,) of one query's best candidates, scored exactly."""
    candidates = np.sort(candidates)
    exact = (vectors[candidates].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    first = np.argsort(-exact, kind="stable")[:depth]
    return exact[first], candidates[first]
