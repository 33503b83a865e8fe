"""A sample is the same whatever the order; candidates carry no trace of the first stage's order; ties go by number."""
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.retrieval import candidates
from stages.retrieval import runs
from stages.core.errors import UserError

NAMES = [f"q{at}" for at in range(200)]


@given(order=st.permutations(NAMES), count=st.integers(1, 250), seed=st.integers(0, 3))
def test_a_sample_depends_on_ids_and_seed_alone(order, count, seed):
    found = candidates.asked(order, count, seed)
    assert found == candidates.asked(NAMES, count, seed) == sorted(set(found))
    assert len(found) == min(count, 200) and set(found) <= set(candidates.asked(NAMES, count + 1, seed))


def test_another_seed_draws_others_and_none_takes_all():
    first, second = (set(candidates.asked(NAMES, 100, seed)) for seed in (1, 2))
    assert 25 < len(first & second) < 75
    assert candidates.asked(NAMES, None, 1) == sorted(NAMES)
    often = Counter(name for seed in range(200) for name in candidates.asked(NAMES, 50, seed))
    assert 20 < min(often.values()) and max(often.values()) < 80 and len(often) == 200


def test_the_first_of_each_query_come_without_order_or_score():
    ranked = runs.RUN.empty_table(), pa.table([["q2"] * 3 + ["q1"] * 4, list("cab") + list("zyxw"),
                                               np.arange(7, 0, -1)], schema=runs.RUN)
    found = candidates.first(ranked, ["q1", "q2", "q3"], 2)
    assert found.to_pydict() == {"query_id": ["q1", "q1", "q2", "q2"], "doc_id": list("yzac")}
    moved = ranked[1].take([1, 0, 2, 4, 3, 5, 6]).drop_columns("score")
    assert candidates.first([moved], ["q1", "q2"], 2) == found
    assert not len(candidates.first(ranked, ["q3"], 2)) and not len(candidates.first([], ["q1"], 2))


@given(counts=st.lists(st.integers(1, 30), max_size=20), size=st.integers(1, 60))
def test_blocks_hold_whole_queries_once(counts, size):
    query_ids = [f"q{at:02d}" for at, count in enumerate(counts) for _ in range(count)]
    pairs = pa.table({"query_id": pa.array(query_ids, pa.string())})
    found = [block["query_id"].to_pylist() for block in candidates.blocks(pairs, size)]
    assert sum(found, []) == query_ids
    assert all(len(set(block)) == 1 or len(block) <= size for block in found)
    assert all(set(one).isdisjoint(other) for one, other in zip(found, found[1:]))


def test_texts_are_those_of_the_ids_across_row_groups(tmp_path):
    docs = pa.table({"doc_id": [f"d{at}" for at in range(100)], "text": [f"text {at}" for at in range(100)]})
    pq.write_table(docs, tmp_path / "docs.parquet", row_group_size=7)
    found = candidates.passages(tmp_path / "docs.parquet", pa.chunked_array([["d90", "d8"], ["d3", "d90"]]))
    assert found.to_pydict() == {"doc_id": ["d3", "d8", "d90"], "text": ["text 3", "text 8", "text 90"]}
    assert not len(candidates.passages(tmp_path / "docs.parquet", pa.chunked_array([], pa.string())))
    with pytest.raises(UserError, match="has no passage 'x', which"):
        candidates.passages(tmp_path / "docs.parquet", pa.chunked_array([["d1", "x"]]))


def test_equal_scores_go_by_document_number():
    pairs = pa.table({"query_id": ["a"] * 3 + ["b"] * 2, "doc_id": ["x", "y", "z", "x", "y"]})
    run = candidates.best_first(pairs, np.float32([1, 2, 1, 0, 0]), np.array([9, 5, 2, 9, 5]))
    assert run.schema == runs.RUN and run["doc_id"].to_pylist() == ["y", "z", "x", "y", "x"]
    assert run["query_id"].to_pylist() == list("aaabb")
