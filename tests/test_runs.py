"""Runs: written part by part and read back, ranks within queries."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.retrieval import runs


def test_a_run_is_read_back_in_the_parts_it_was_written_in(tmp_path):
    doc_ids = pa.array(["a", "b", "c"])
    scores = np.array([[3, 2], [1, 0]], dtype=np.float32)
    one = runs.table(["q1", "q2"], doc_ids, scores, np.array([[2, 0], [1, -1]]))
    assert one.to_pylist() == [
        {"query_id": "q1", "doc_id": "c", "score": 3},
        {"query_id": "q1", "doc_id": "a", "score": 2},
        {"query_id": "q2", "doc_id": "b", "score": 1},
    ]
    other = runs.table(["q3"], doc_ids, scores[:1], np.array([[0, 1]]))
    assert runs.write([one, other], tmp_path / "run.parquet") == 3
    assert list(runs.read(tmp_path / "run.parquet")) == [one, other]


@pytest.mark.parametrize("parts", [[], [runs.RUN.empty_table()] * 2])
def test_a_run_of_no_lines_is_a_file(parts, tmp_path):
    assert runs.write(parts, tmp_path / "run.parquet") == 0
    assert not list(runs.read(tmp_path / "run.parquet"))
    assert pq.read_table(tmp_path / "run.parquet").schema == runs.RUN


def test_ranks_count_from_one_within_each_query_wherever_its_rows_stand():
    ids = pa.chunked_array([["b", "a", "b"], ["b", "c", "a"]])
    assert runs.ranks_in_query(ids).tolist() == [1, 1, 2, 3, 1, 2]
    assert not len(runs.ranks_in_query(pa.chunked_array([], pa.string())))


@pytest.mark.parametrize("queries", [1, 2, 3, 100])
def test_runs_side_by_side_have_the_same_queries_in_each_part(tmp_path, queries):
    """Whatever order and parts each was written in, and where one of them leaves queries out."""
    orders = [["q3", "q1", "q2", "q5"], ["q1", "q4", "q3"]]
    paths = [tmp_path / "one.parquet", tmp_path / "other.parquet"]
    for path, asked in zip(paths, orders, strict=True):
        scores = np.array([[2.0, 1.0]], np.float32)
        parts = [runs.table([query], pa.array(["a", "b"]), scores, np.array([[0, 1]])) for query in asked]
        runs.write([pa.concat_tables(parts[:2]), *parts[2:]], path)
    found = list(runs.side_by_side(paths, queries))
    whole = ["q3", "q1", "q2", "q5", "q4"]
    assert len(found) == -(-len(whole) // queries)
    for at, tables in enumerate(found):
        wanted = set(whole[at * queries : (at + 1) * queries])
        for table, asked in zip(tables, orders, strict=True):
            assert list(dict.fromkeys(table["query_id"].to_pylist())) == [one for one in asked if one in wanted]
            assert table.schema == runs.RUN
