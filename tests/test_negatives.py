"""Drawing negatives: never what is forbidden, only ranks of the window, the same pairs whatever the source."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.collections.canonical import QRELS
from stages.negatives import draw
from stages.negatives.columns import PAIRS, numbered
from stages.negatives.leakage import Forbidden
from stages.params.triplets import Triplets
from stages.retrieval import runs

DOCS = pa.array([f"d{n}" for n in range(80)])


def block(ranks, one_rank=False, **more) -> Triplets:
    fields = {"corpus": "c", "from": "pools/p", "size": 1, "ranks": ranks}
    return Triplets.model_validate({**fields, "sampling": "one-rank" if one_rank else "uniform", **more})


def world(seed: int, queries: int):
    """Random judgments, forbidden passages and a pool that ranks all 80 passages for every query."""
    rng = np.random.default_rng(seed)
    known = [(f"q{q}", f"d{d}", 1) for q in range(queries) for d in rng.choice(80, 3, replace=False)]
    qrels = pa.table(list(zip(*known)), schema=QRELS)
    judged = pa.array([f"d{d}" for d in rng.choice(80, 10, replace=False)])
    order = np.array([rng.permutation(80) for _ in range(queries)])
    pool = runs.table([f"q{q}" for q in range(queries)], DOCS, -np.arange(80.0) * np.ones((queries, 1)), order)
    return qrels, Forbidden(qrels.select(["query_id", "doc_id"]), judged), pool, order


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    queries=st.integers(1, 9),
    size=st.integers(1, 80),
    first=st.integers(1, 60),
    width=st.integers(0, 19),
    one_rank=st.booleans(),
)
def test_drawn_from_a_pool(tmp_path_factory, seed, queries, size, first, width, one_rank):
    qrels, forbidden, pool, order = world(seed, queries)
    path = tmp_path_factory.mktemp("pool") / "pool"
    runs.write([pool.slice(0, 160), pool.slice(160)] if len(pool) > 160 else [pool], path)
    chosen = draw.pairs(qrels, size, seed)
    drawn, left_out = draw.from_pool(chosen, path, block((first, first + width), one_rank), forbidden, seed)
    _nothing_forbidden(drawn, qrels, forbidden)
    for query, passage, rank in zip(*(drawn[name].to_pylist() for name in ("query_id", "negative_id", "rank"))):
        assert first <= rank <= first + width
        assert order[int(query[1:])][rank - 1] == int(passage[1:])
    assert left_out == 0 and drawn["negative_score"].to_pylist() == [1.0 - rank for rank in drawn["rank"].to_pylist()]
    if one_rank and len(drawn):
        ranks = drawn.group_by("query_id").aggregate([("rank", "count_distinct")])["rank_count_distinct"]
        assert set(ranks.to_pylist()) == {1}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), queries=st.integers(1, 9), size=st.integers(1, 80))
def test_drawn_uniformly_from_the_collection(seed, queries, size):
    qrels, forbidden, _, _ = world(seed, queries)
    chosen = draw.pairs(qrels, size, seed)
    drawn = draw.uniform(chosen, DOCS, forbidden, seed)
    _nothing_forbidden(drawn, qrels, forbidden)
    assert drawn.select(PAIRS.names).equals(chosen)
    assert drawn.equals(draw.uniform(chosen, DOCS, forbidden, seed))


def _nothing_forbidden(drawn, qrels, forbidden):
    known = set(zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist()))
    pairs = list(zip(drawn["query_id"].to_pylist(), drawn["negative_id"].to_pylist()))
    assert not set(pairs) & known
    assert not set(drawn["negative_id"].to_pylist()) & set(forbidden.passages.to_pylist())


def test_pairs_depend_on_the_seed_and_run_out_evenly():
    qrels, *_ = world(0, 9)
    every = draw.pairs(qrels, len(qrels) * 2, 5).to_pylist()
    assert sorted(map(str, every[: len(qrels)])) == sorted(map(str, every[len(qrels) :]))
    assert draw.pairs(qrels, 20, 5).equals(draw.pairs(qrels, 20, 5))
    assert not draw.pairs(qrels, 20, 5).equals(draw.pairs(qrels, 20, 6))


def test_one_rank_is_the_middle_of_the_window_and_uniform_covers_it(tmp_path):
    """The paper's code drew rank 126 of 51-200 for every query; its text says uniform."""
    rng = np.random.default_rng(0)
    docs = pa.array([f"d{n}" for n in range(200)])
    pool = runs.table(
        [f"q{q}" for q in range(400)], docs, np.zeros((400, 200)), np.array([rng.permutation(200) for _ in range(400)])
    )
    runs.write([pool], tmp_path / "pool")
    qrels = pa.table([[f"q{q}" for q in range(400)], ["x"] * 400, [1] * 400], schema=QRELS)
    free = Forbidden(qrels.select(["query_id", "doc_id"]), pa.array([], pa.string()))
    chosen = draw.pairs(qrels, 400, 1)
    fixed, _ = draw.from_pool(chosen, tmp_path / "pool", block((51, 200), True), free, 1)
    spread, _ = draw.from_pool(chosen, tmp_path / "pool", block((51, 200)), free, 1)
    assert set(fixed["rank"].to_pylist()) == {126}
    counts = np.histogram(spread["rank"].to_numpy(), bins=5, range=(51, 201))[0]
    assert counts.min() > 50 and counts.max() < 115
    assert chosen.equals(spread.select(PAIRS.names)) and chosen.equals(fixed.select(PAIRS.names))


def test_released_triples_lose_their_forbidden_negatives(tmp_path):
    pq.write_table(
        pa.table({"query_id": ["q1", "q1", "q2"], "positive_id": ["a", "a", "b"], "negative_id": ["x", "y", "a"]}),
        tmp_path / "docpairs.parquet",
    )
    forbidden = Forbidden(pa.table({"query_id": ["q1"], "doc_id": ["y"]}), pa.array(["x"]))
    drawn = draw.released(tmp_path / "docpairs.parquet", 10, forbidden, 0)
    assert drawn.to_pylist() == [{"query_id": "q2", "positive_id": "b", "negative_id": "a", "rank": 0}]


def test_a_pool_with_nothing_allowed_leaves_the_pair_out(tmp_path):
    runs.write([runs.table(["q"], pa.array(["a", "b"]), np.zeros((1, 2)), np.array([[0, 1]]))], tmp_path / "pool")
    qrels = pa.table([["q"], ["a"], [1]], schema=QRELS)
    forbidden = Forbidden(qrels.select(["query_id", "doc_id"]), pa.array(["b"]))
    drawn, left_out = draw.from_pool(draw.pairs(qrels, 3, 0), tmp_path / "pool", block((1, 2)), forbidden, 0)
    assert len(drawn) == 0 and left_out == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    queries=st.integers(1, 9),
    size=st.integers(1, 40),
    first=st.integers(1, 60),
    width=st.integers(0, 19),
    count=st.integers(1, 5),
)
def test_several_negatives_a_pair(tmp_path_factory, seed, queries, size, first, width, count):
    """They differ within a pair, and a query gets none again before it has had all."""
    qrels, forbidden, pool, _ = world(seed, queries)
    path = tmp_path_factory.mktemp("pool") / "pool"
    runs.write([pool], path)
    chosen = draw.pairs(qrels, size, seed)
    drawn, _ = draw.from_pool(chosen, path, block((first, first + width), negatives_per_query=count), forbidden, seed)
    uniform = draw.uniform(chosen, DOCS, forbidden, seed, count)
    assert uniform.select(PAIRS.names).equals(chosen)
    had: dict[str, list[str]] = {}
    for table in (drawn, uniform):
        columns = [table[name].to_pylist() for name in numbered("negative_id", count)]
        for query, *negatives in zip(table["query_id"].to_pylist(), *columns):
            assert len(set(negatives)) == count
            if table is drawn:
                had.setdefault(query, []).extend(negatives)
        for name in numbered("negative_id", count):
            _nothing_forbidden(pa.table({"query_id": table["query_id"], "negative_id": table[name]}), qrels, forbidden)
    for query, line in had.items():
        window = pool.filter(pc.equal(pool["query_id"], query))["doc_id"].slice(first - 1, width + 1)
        candidates = sum(~forbidden.mask(pa.array([query] * len(window)), window))
        times = [line.count(passage) for passage in set(line)]
        assert max(times) - (min(times) if len(times) == candidates else 0) <= 1


def scored_pool(path, scores: dict[str, dict[str, float]]):
    """A pool of a query's passages and scores, as given, one row group a query."""
    runs.write(
        [
            pa.table([[query] * len(line), list(line), list(line.values())], schema=runs.RUN)
            for query, line in scores.items()
        ],
        path,
    )
    return path


@pytest.mark.parametrize(
    "margins, allowed",
    [
        ({}, "bcdef"),
        ({"absolute_margin": 0.0}, "cdef"),
        ({"absolute_margin": 0.25}, "ef"),
        ({"relative_margin": 0.3}, "def"),
        ({"absolute_margin": 0.25, "relative_margin": 0.7}, "f"),
    ],
)
def test_margins_keep_away_from_what_the_pool_scores_like_the_positive(margins, allowed, tmp_path):
    pool = scored_pool(tmp_path / "pool", {"q": dict(zip("baxcdef", [0.9, 0.8, 0.75, 0.55, 0.5, 0.3, 0.1]))})
    qrels = pa.table([["q", "q", "q"], ["x", "a", "gone"], [1, 1, 1]], schema=QRELS)
    forbidden = Forbidden(qrels.select(["query_id", "doc_id"]), pa.array([], pa.string()))
    chosen = pa.table([["q"] * 90, ["x", "x", "gone"] * 30], schema=PAIRS)
    drawn, left_out = draw.from_pool(chosen, pool, block((1, 7), **margins), forbidden, 0)
    of_x = drawn.filter(pc.equal(drawn["positive_id"], "x"))
    assert set(of_x["negative_id"].to_pylist()) == set(allowed)
    assert set(of_x["positive_score"].to_pylist()) == {0.75}
    assert left_out == (30 if margins else 0) and len(drawn) == 90 - left_out
    if not margins:
        assert drawn["positive_score"].null_count == 30


def test_a_margin_below_a_negative_score_lies_below_it(tmp_path):
    """A tenth of -0.5 less is -0.55; -0.5 x 0.9 would be above the positive."""
    pool = scored_pool(tmp_path / "pool", {"q": {"x": -0.5, "near": -0.52, "far": -0.6}})
    free = Forbidden(pa.table({"query_id": ["q"], "doc_id": ["x"]}), pa.array([], pa.string()))
    chosen = pa.table([["q"] * 8, ["x"] * 8], schema=PAIRS)
    drawn, _ = draw.from_pool(chosen, pool, block((1, 3), relative_margin=0.1), free, 0)
    assert set(drawn["negative_id"].to_pylist()) == {"far"}


def test_margins_and_several_negatives_leave_out_by_the_pair(tmp_path):
    """A pair whose own positive ranks low has too few below it; another pair of the same query has enough."""
    pool = scored_pool(
        tmp_path / "pool", {"other": {"z": 1.0, "a": 0.5}, "q": dict(zip("xabyc", [0.9, 0.8, 0.7, 0.6, 0.5]))}
    )
    known = pa.table({"query_id": ["q", "q", "other"], "doc_id": ["x", "y", "z"]})
    chosen = pa.table([["q", "other", "q"], ["x", "z", "y"]], schema=PAIRS)
    free = Forbidden(known, pa.array([], pa.string()))
    drawn, left_out = draw.from_pool(chosen, pool, block((1, 5), negatives_per_query=2, absolute_margin=0.0), free, 0)
    assert drawn.select(PAIRS.names).to_pylist() == [{"query_id": "q", "positive_id": "x"}]
    assert left_out == 1  # "other" has one candidate, with or without a margin


def test_a_uniform_draw_leaves_out_a_pair_that_nothing_is_allowed_for():
    even, odd = DOCS.to_pylist()[::2], DOCS.to_pylist()[1::2]
    forbidden = Forbidden(pa.table({"query_id": ["q1"] * len(even), "doc_id": even}), pa.array(odd))
    drawn = draw.uniform(pa.table([["q0", "q1"] * 8, ["d5", "d6"] * 8], schema=PAIRS), DOCS, forbidden, 0)
    assert drawn["query_id"].to_pylist() == ["q0"] * 8 and set(drawn["negative_id"].to_pylist()) <= set(even)
