"""Negatives: never what is forbidden, only ranks of the window, the same anchors whatever they are drawn from."""
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.lib import negatives, runs
from stages.lib.collection import QRELS

DOCS = pa.array([f"d{n}" for n in range(80)])


def world(seed: int, queries: int):
    """Random judgments, forbidden passages and a pool that ranks all 80 passages for every query."""
    rng = np.random.default_rng(seed)
    known = [(f"q{q}", f"d{d}", 1) for q in range(queries) for d in rng.choice(80, 3, replace=False)]
    qrels = pa.table(list(zip(*known)), schema=QRELS)
    judged = pa.array([f"d{d}" for d in rng.choice(80, 10, replace=False)])
    order = np.array([rng.permutation(80) for _ in range(queries)])
    pool = runs.table([f"q{q}" for q in range(queries)], DOCS, -np.arange(80.0) * np.ones((queries, 1)), order)
    return qrels, negatives.Forbidden(qrels.select(["query_id", "doc_id"]), judged), pool, order


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), queries=st.integers(1, 9), size=st.integers(1, 80), first=st.integers(1, 60),
       width=st.integers(0, 19), one_rank=st.booleans())
def test_drawn_from_a_pool(tmp_path_factory, seed, queries, size, first, width, one_rank):
    qrels, forbidden, pool, order = world(seed, queries)
    path = tmp_path_factory.mktemp("pool") / "pool"
    runs.write([pool.slice(0, 160), pool.slice(160)] if len(pool) > 160 else [pool], path)
    chosen = negatives.pairs(qrels, size, seed)
    drawn = negatives.from_pool(chosen, path, (first, first + width), one_rank, forbidden, seed)
    _nothing_forbidden(drawn, qrels, forbidden)
    for query, passage, rank in zip(*(drawn[name].to_pylist() for name in ("query_id", "negative_id", "rank"))):
        assert first <= rank <= first + width
        assert order[int(query[1:])][rank - 1] == int(passage[1:])
    if one_rank and len(drawn):
        assert drawn.group_by("query_id").aggregate([("rank", "count_distinct")])["rank_count_distinct"].to_pylist() \
            == [1] * len(drawn["query_id"].unique())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), queries=st.integers(1, 9), size=st.integers(1, 80))
def test_drawn_uniformly_from_the_collection(seed, queries, size):
    qrels, forbidden, _, _ = world(seed, queries)
    chosen = negatives.pairs(qrels, size, seed)
    drawn = negatives.uniform(chosen, DOCS, forbidden, seed)
    _nothing_forbidden(drawn, qrels, forbidden)
    assert drawn.select(negatives.PAIRS.names).equals(chosen)
    assert drawn.equals(negatives.uniform(chosen, DOCS, forbidden, seed))


def _nothing_forbidden(drawn, qrels, forbidden):
    known = set(zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist()))
    pairs = list(zip(drawn["query_id"].to_pylist(), drawn["negative_id"].to_pylist()))
    assert not set(pairs) & known
    assert not set(drawn["negative_id"].to_pylist()) & set(forbidden.passages.to_pylist())


def test_anchors_depend_on_the_seed_and_run_out_evenly():
    qrels, *_ = world(0, 9)
    every = negatives.pairs(qrels, len(qrels) * 2, 5).to_pylist()
    assert sorted(map(str, every[:len(qrels)])) == sorted(map(str, every[len(qrels):]))
    assert negatives.pairs(qrels, 20, 5).equals(negatives.pairs(qrels, 20, 5))
    assert not negatives.pairs(qrels, 20, 5).equals(negatives.pairs(qrels, 20, 6))


def test_one_rank_is_the_middle_of_the_window_and_uniform_covers_it(tmp_path):
    """The paper's code drew rank 126 of 51-200 for every query; its text says uniform."""
    rng = np.random.default_rng(0)
    docs = pa.array([f"d{n}" for n in range(200)])
    pool = runs.table([f"q{q}" for q in range(400)], docs, np.zeros((400, 200)),
                      np.array([rng.permutation(200) for _ in range(400)]))
    runs.write([pool], tmp_path / "pool")
    qrels = pa.table([[f"q{q}" for q in range(400)], ["x"] * 400, [1] * 400], schema=QRELS)
    free = negatives.Forbidden(qrels.select(["query_id", "doc_id"]), pa.array([], pa.string()))
    chosen = negatives.pairs(qrels, 400, 1)
    fixed = negatives.from_pool(chosen, tmp_path / "pool", (51, 200), True, free, 1)
    spread = negatives.from_pool(chosen, tmp_path / "pool", (51, 200), False, free, 1)
    assert set(fixed["rank"].to_pylist()) == {126}
    counts = np.histogram(spread["rank"].to_numpy(), bins=5, range=(51, 201))[0]
    assert counts.min() > 50 and counts.max() < 115
    assert chosen.equals(spread.select(negatives.PAIRS.names)) and chosen.equals(fixed.select(negatives.PAIRS.names))


def test_released_triples_lose_their_forbidden_negatives(tmp_path):
    import pyarrow.parquet as pq
    pq.write_table(pa.table({"query_id": ["q1", "q1", "q2"], "positive_id": ["a", "a", "b"],
                             "negative_id": ["x", "y", "a"]}), tmp_path / "docpairs.parquet")
    forbidden = negatives.Forbidden(pa.table({"query_id": ["q1"], "doc_id": ["y"]}), pa.array(["x"]))
    drawn = negatives.released(tmp_path / "docpairs.parquet", 10, forbidden, 0)
    assert drawn.to_pylist() == [{"query_id": "q2", "positive_id": "b", "negative_id": "a", "rank": 0}]


def test_a_pool_with_nothing_allowed_leaves_the_pair_out(tmp_path):
    runs.write([runs.table(["q"], pa.array(["a", "b"]), np.zeros((1, 2)), np.array([[0, 1]]))], tmp_path / "pool")
    qrels = pa.table([["q"], ["a"], [1]], schema=QRELS)
    forbidden = negatives.Forbidden(qrels.select(["query_id", "doc_id"]), pa.array(["b"]))
    drawn = negatives.from_pool(negatives.pairs(qrels, 3, 0), tmp_path / "pool", (1, 2), False, forbidden, 0)
    assert len(drawn) == 0


def test_a_window_without_a_middle_row_is_refused_before_it_is_drawn():
    from stages.lib.params import Triplets
    with pytest.raises(ValueError, match="end before they begin"):
        Triplets.model_validate({"corpus": "c", "from": "pools/p", "size": 1, "ranks": [9, 3]})
