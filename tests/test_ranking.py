"""Exact search: equal to a full sort in float64, whatever the block, with ties in one declared order."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
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
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 300), copies=st.integers(0, 120), depth=st.integers(1, 60),
       block=st.integers(1, 400), half=st.booleans())
def test_equals_a_full_sort_with_duplicates_in_the_collection(seed, rows, copies, depth, block, half):
    rng = np.random.default_rng(seed)
    vectors = unit(rng, rows)
    vectors = np.concatenate([vectors, vectors[rng.integers(rows, size=copies)]])[rng.permutation(rows + copies)]
    vectors = vectors.astype(np.float16) if half else vectors
    queries = np.concatenate([unit(rng, 3), vectors[:1].astype(np.float32)])
    scores, found = dense.top_k(queries, vectors, depth, block)
    wanted_scores, wanted = by_full_sort(queries, vectors, min(depth, len(vectors)))
    assert np.allclose(scores, wanted_scores, atol=1e-7)
    assert (found == wanted).all() or _same_but_for_rounding(scores, found, wanted)


def _same_but_for_rounding(scores, found, wanted) -> bool:
    """A full sort may round a score the other way; then neighbours within one last bit change places."""
    rows, places = np.nonzero(found != wanted)
    near = [np.abs(np.delete(scores[row], place) - scores[row, place]).min() for row, place in zip(rows, places)]
    return max(near) < 2e-7


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


@pytest.mark.parametrize("depth", [1, 5, 50])
def test_bm25_ranks_by_score_then_row_and_leaves_out_what_shares_no_term(depth, tmp_path):
    from stages.retrieval import bm25
    bm25.build(["red boat", "boat", "green house", "boat", ""], tmp_path / "bm25", 0.9, 0.4)
    scores, rows = bm25.top_k(["boats", "zebra", ""], tmp_path / "bm25", depth)
    assert rows[0][rows[0] >= 0].tolist() == [1, 3, 0][:depth]
    assert (rows[1:] == -1).all() and scores[0][0] > 0


def test_the_index_of_bm25_is_the_same_bytes_in_every_process(tmp_path):
    code = ("import sys; from pathlib import Path; from stages.lib import lexical; "
            "lexical.build(['red boat of the king', 'boats and a green house', ''], Path(sys.argv[1]), 0.9, 0.4)")
    for seed in ("1", "2"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / seed)], check=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}, cwd=Path(__file__).parents[1])
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()} for seed in ("1", "2"))
    assert one == other


def test_a_collapsed_collection_is_searched_in_bounded_parts(monkeypatch):
    """All vectors equal: every query is unsure until all rows are candidates, a few queries at a time."""
    monkeypatch.setattr(dense, "CANDIDATES", 3000)
    vectors = np.ones((2000, 4), dtype=np.float32) / 2
    scores, rows = dense.top_k(vectors[:7], vectors, 5, 300)
    assert (rows == np.arange(5)).all() and (scores == 1).all()
