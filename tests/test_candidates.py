"""A sample does not depend on any order; candidates keep nothing of the first stage's order; ties go by id."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.retrieval import candidates, ranking, runs

NAMES = [f"q{at}" for at in range(200)]


@given(order=st.permutations(NAMES), count=st.integers(1, 250), seed=st.integers(0, 3))
def test_a_sample_depends_on_ids_and_seed_alone(order, count, seed):
    sample = candidates.sample(order, count, seed)
    assert sample == candidates.sample(NAMES, count, seed) == sorted(set(sample))
    assert len(sample) == min(count, 200) and set(sample) <= set(candidates.sample(NAMES, count + 1, seed))


def test_another_seed_draws_others_and_none_takes_all():
    first, second = (set(candidates.sample(NAMES, 100, seed)) for seed in (1, 2))
    assert 25 < len(first & second) < 75
    assert candidates.sample(NAMES, None, 1) == sorted(NAMES)
    often = Counter(name for seed in range(200) for name in candidates.sample(NAMES, 50, seed))
    assert min(often.values()) > 20 and max(often.values()) < 80 and len(often) == 200


def run(lines: str) -> pa.Table:
    """A run of lines `query passage score`."""
    rows = [line.split() for line in lines.split(";")]
    return pa.table([*zip(*((query, doc, float(score)) for query, doc, score in rows), strict=True)], schema=runs.RUN)


RANKED = run("q2 c 7; q2 a 6; q2 b 5; q1 z 4; q1 y 3; q1 x 2; q1 w 1")


def test_the_top_of_each_query_comes_without_order_or_score():
    top = candidates.top([runs.RUN.empty_table(), RANKED], ["q1", "q2", "q3"], 2)
    assert top.to_pydict() == {"query_id": ["q1", "q1", "q2", "q2"], "doc_id": list("yzac")}
    moved = RANKED.take([1, 0, 2, 4, 3, 5, 6]).drop_columns("score")
    assert candidates.top([moved], ["q1", "q2"], 2) == top
    assert not len(candidates.top([RANKED], ["q3"], 2)) and not len(candidates.top([], ["q1"], 2))


def test_what_is_below_the_depth_follows_in_its_order_with_lower_scores():
    rest = candidates.below([RANKED.slice(0, 3), RANKED.slice(3)], ["q1", "q2"], 2)
    assert rest.to_pydict() == {"query_id": ["q2", "q1", "q1"], "doc_id": list("bxw")}
    whole = candidates.append(run("q1 y 0.5; q1 z -3"), rest)
    assert whole.equals(run("q1 y 0.5; q1 z -3; q1 x -4; q1 w -5"))
    whole = candidates.append(run("q1 y 0.5; q1 z 0.25; q2 a 9; q2 c 8"), rest)
    assert whole.equals(run("q1 y 0.5; q1 z 0.25; q1 x -0.75; q1 w -1.75; q2 a 9; q2 c 8; q2 b 7"))
    assert candidates.append(run("q3 y 0.5"), rest).equals(run("q3 y 0.5"))


@given(counts=st.lists(st.integers(1, 30), max_size=20), size=st.integers(1, 60))
def test_blocks_hold_whole_queries_once(counts, size):
    query_ids = [f"q{at:02d}" for at, count in enumerate(counts) for _ in range(count)]
    pairs = pa.table({"query_id": pa.array(query_ids, pa.string())})
    blocks = [block["query_id"].to_pylist() for block in candidates.blocks(pairs, size)]
    assert [query for block in blocks for query in block] == query_ids
    assert all(len(set(block)) == 1 or len(block) <= size for block in blocks)
    assert all(set(one).isdisjoint(other) for one, other in pairwise(blocks))


def test_texts_are_those_of_the_ids_across_row_groups(tmp_path):
    docs = pa.table({"doc_id": [f"d{at}" for at in range(100)], "text": [f"text {at}" for at in range(100)]})
    pq.write_table(docs, tmp_path / "docs.parquet", row_group_size=7)
    passages = candidates.passages(tmp_path / "docs.parquet", pa.chunked_array([["d90", "d8"], ["d3", "d90"]]))
    assert passages.to_pydict() == {"doc_id": ["d3", "d8", "d90"], "text": ["text 3", "text 8", "text 90"]}
    assert not len(candidates.passages(tmp_path / "docs.parquet", pa.chunked_array([], pa.string())))
    with pytest.raises(UserError, match="has no 'x', which"):
        candidates.passages(tmp_path / "docs.parquet", pa.chunked_array([["d1", "x"]]))


def test_equal_scores_go_by_id_the_higher_one_first():
    pairs = pa.table({"query_id": ["a"] * 3 + ["b"] * 2, "doc_id": ["x", "y", "z", "x", "y"]})
    scores, places = np.float32([1, 2, 1, 0, 0]), ranking.places(pairs["doc_id"])
    reranked = candidates.best_first(pairs, scores, places)
    assert reranked.schema == runs.RUN and reranked["doc_id"].to_pylist() == ["y", "z", "x", "y", "x"]
    assert reranked["query_id"].to_pylist() == list("aaabb")


def test_passages_below_very_low_scores_stay_below_and_apart():
    rest = candidates.below([RANKED], ["q1"], 1)
    scores = candidates.append(run("q1 z -1000000000"), rest)["score"].to_pylist()
    assert all(later < former for former, later in pairwise(scores)) and len(scores) == 4
