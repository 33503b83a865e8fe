"""Exact search: equal to a full sort in float64, whatever the block, with ties in one declared order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.retrieval import dense


def unit(rng, rows: int, width: int = 24) -> np.ndarray:
    vectors = rng.standard_normal((rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_full_sort(queries, vectors, depth):
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, rows, axis=1), rows


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 300),
    duplicates=st.integers(0, 120),
    depth=st.integers(1, 60),
    block=st.integers(1, 400),
    half=st.booleans(),
)
def test_equals_a_full_sort_with_duplicates_in_the_collection(seed, rows, duplicates, depth, block, half):
    rng = np.random.default_rng(seed)
    vectors = unit(rng, rows)
    vectors = np.concatenate([vectors, vectors[rng.integers(rows, size=duplicates)]])
    vectors = vectors[rng.permutation(len(vectors))]
    vectors = vectors.astype(np.float16) if half else vectors
    queries = np.concatenate([unit(rng, 3), vectors[:1].astype(np.float32)])
    scores, ranked = dense.top_k(queries, vectors, depth, block)
    wanted_scores, wanted = by_full_sort(queries, vectors, min(depth, len(vectors)))
    assert np.allclose(scores, wanted_scores, atol=1e-7)
    assert (ranked == wanted).all() or _same_but_for_rounding(scores, ranked, wanted)


def _same_but_for_rounding(scores, ranked, wanted) -> bool:
    """A full sort may round a score the other way; then neighbours within one last bit change ranks."""
    queries, ranks = np.nonzero(ranked != wanted)
    pairs = zip(queries, ranks, strict=True)
    return max(np.abs(np.delete(scores[query], rank) - scores[query, rank]).min() for query, rank in pairs) < 2e-7


def test_the_same_bytes_for_every_block_and_number_of_threads():
    import faiss

    rng = np.random.default_rng(1)
    vectors, queries = unit(rng, 5000, 384), unit(rng, 40, 384)
    vectors[100:400] = vectors[7]
    queries[0] = vectors[7]
    threads = faiss.omp_get_max_threads()
    try:
        results = []
        for count, block in [(1, 5000), (2, 5000), (2, 777), (1, 64)]:
            faiss.omp_set_num_threads(count)
            results.append(dense.top_k(queries, vectors, 100, block))
    finally:
        faiss.omp_set_num_threads(threads)
    assert all((scores == results[0][0]).all() and (rows == results[0][1]).all() for scores, rows in results)
    assert results[0][1][0].tolist() == [7, *range(100, 199)]


def test_a_collapsed_collection_is_searched_in_bounded_parts(monkeypatch):
    """All vectors equal: every query is unsure until all rows are candidates, a few queries at a time."""
    monkeypatch.setattr(dense, "CANDIDATES", 3000)
    vectors = np.ones((2000, 4), dtype=np.float32) / 2
    scores, rows = dense.top_k(vectors[:7], vectors, 5, 300)
    assert (rows == np.arange(5)).all() and (scores == 1).all()
