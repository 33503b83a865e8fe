"""Exact search: equal to a full sort in float64, whatever the block, with ties in one declared order."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.retrieval import dense, ranking, searching
from stages.retrieval.searching import Searcher
from tests.conftest import ROOT


def unit(rng, rows: int, width: int = 24) -> np.ndarray:
    vectors = rng.standard_normal((rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_full_sort(queries, vectors, depth, ids):
    """All scores in float64, rounded once; then sorted as strings are, id by id."""
    wide = vectors.astype(np.float64)
    scores = np.array([np.einsum("ij,j->i", wide, query.astype(np.float64)) for query in queries]).astype(np.float32)
    lines = [sorted(zip(line.tolist(), ids, range(len(ids))), reverse=True)[:depth] for line in scores]
    return np.float32([[score for score, _, _ in line] for line in lines]), [
        [row for *_, row in line] for line in lines
    ]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 300),
    duplicates=st.integers(0, 120),
    near=st.integers(0, 60),
    depth=st.integers(1, 60),
    block=st.integers(1, 400),
    half=st.booleans(),
    norms=st.sampled_from([(0, 0), (-3, -3), (3, 3), (1, 1), (-3, 3)]),
    threads=st.sampled_from([1, 2]),
)
def test_equals_a_full_sort_with_duplicates_and_near_ties(
    seed, rows, duplicates, near, depth, block, half, norms, threads
):
    """Vectors of the lengths of cosine models and of dot models (10), much shorter and longer ones, and mixed."""
    import faiss

    rng = np.random.default_rng(seed)
    vectors = unit(rng, rows) * np.float32(10 ** rng.uniform(*norms, size=(rows, 1)))
    vectors = np.concatenate([vectors, vectors[rng.integers(rows, size=duplicates)]])
    moved = vectors[rng.integers(len(vectors), size=near)]
    vectors = np.concatenate([vectors, np.nextafter(moved, np.float32(np.inf))])
    vectors = vectors[rng.permutation(len(vectors))]
    vectors = vectors.astype(np.float16) if half else vectors
    queries = np.concatenate([unit(rng, 3) * np.float32(10 ** norms[1]), vectors[:1].astype(np.float32)])
    ids = [f"d{number}" for number in rng.permutation(len(vectors))]
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(threads)
        scores, ranked = dense.top_k(queries, vectors, depth, block, ranking.places(pa.array(ids)))
    finally:
        faiss.omp_set_num_threads(before)
    wanted_scores, wanted = by_full_sort(queries, vectors, depth, ids)
    assert (scores == wanted_scores).all() and ranked.tolist() == wanted


def test_vectors_of_a_diverged_model_are_one_line():
    vectors = unit(np.random.default_rng(0), 5)
    vectors[3, 2] = np.nan
    for block in (2, 10):
        with pytest.raises(UserError, match="vector of passage 3 holds nan"):
            dense.top_k(vectors[:1], vectors, 2, block)


def test_the_same_bytes_for_every_block_part_and_number_of_threads(monkeypatch):
    import faiss

    rng = np.random.default_rng(1)
    vectors, queries = unit(rng, 5000, 384), unit(rng, 40, 384)
    vectors[100:400] = vectors[7]
    queries[0] = vectors[7]
    threads = faiss.omp_get_max_threads()
    try:
        results = []
        for count, block, part in [(1, 5000, 65_536), (2, 5000, 1), (2, 777, 50), (1, 64, 7)]:
            faiss.omp_set_num_threads(count)
            monkeypatch.setattr(dense, "TOGETHER", part)
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


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 200),
    duplicates=st.integers(0, 120),
    depth=st.integers(1, 60),
    block=st.integers(1, 100),
    shards=st.integers(1, 9),
)
def test_shards_merge_to_the_same_run_whatever_their_number(
    tmp_path_factory, seed, rows, duplicates, depth, block, shards
):
    """Equal vectors lie in other shards, and their ids in no order."""
    rng = np.random.default_rng(seed)
    vectors = unit(rng, rows)
    vectors = np.concatenate([vectors, vectors[rng.integers(rows, size=duplicates)]])
    vectors = vectors[rng.permutation(len(vectors))]
    places = rng.permutation(len(vectors))
    queries = np.concatenate([unit(rng, 3), vectors[:1]])
    path = tmp_path_factory.mktemp("shards") / "docs.npy"
    np.save(path, vectors)
    whole = dense.top_k(queries, vectors, depth, block, places)
    found = Searcher(shards=shards).top_k(queries, path, depth, block, places)
    assert all((one == other).all() and one.dtype == other.dtype for one, other in zip(whole, found, strict=True))


def test_processes_find_what_one_does_and_say_how_fast_they_read(tmp_path):
    rng = np.random.default_rng(2)
    vectors, queries = unit(rng, 3000), unit(rng, 20)
    vectors[500:2500:7] = vectors[3]
    queries[0] = vectors[3]
    places = rng.permutation(len(vectors))
    np.save(tmp_path / "docs.npy", vectors)
    whole = dense.top_k(queries, vectors, 50, 700, places)
    with searching.searcher(3) as searcher:
        for _ in range(2):
            found = searcher.top_k(queries, tmp_path / "docs.npy", 50, 700, places)
            assert all((one == other).all() for one, other in zip(whole, found, strict=True))
    assert searcher.read == 2 * vectors.nbytes and searcher.gigabytes_per_second > 0
    assert searcher.together(50, 4096) == 16_000_000 // 150 // 4096 * 4096 and searcher.together(10**6, 4096) == 4096


def test_search_processes_end_with_a_killed_stage(tmp_path):
    program = "from stages.retrieval import searching; import os, time\nif __name__ == '__main__':\n"
    program += (
        " with searching.searcher(2) as searcher:\n  print(*searcher.pool.map(abs, [1, 2]), *searcher.pool._processes,"
    )
    program += " flush=True); time.sleep(60)"
    (tmp_path / "search.py").write_text(program)
    command = [sys.executable, str(tmp_path / "search.py")]
    stage = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    started = [int(word) for word in stage.stdout.readline().split()[2:]]
    assert len(started) == 2 and all(map(psutil.pid_exists, started))
    stage.kill()
    stage.wait()
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_search_process_that_is_killed_is_one_line(tmp_path):
    vectors = unit(np.random.default_rng(0), 50)
    np.save(tmp_path / "docs.npy", vectors)
    with searching.searcher(2) as searcher:
        list(searcher.pool.map(abs, [1, 2]))
        os.kill(next(iter(searcher.pool._processes)), signal.SIGKILL)
        with pytest.raises(UserError, match="a process that searched was killed"):
            for _ in range(100):
                searcher.top_k(vectors[:2], tmp_path / "docs.npy", 3, 10, np.arange(50))
