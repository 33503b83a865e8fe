"""Excerpts of a tiny collection in canonical format: the best grade, then the first of equals, and what is absent."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.collections import canonical, excerpts


@pytest.fixture
def collection(tmp_path):
    qrels = [
        ("q1", "d1", 1),
        ("q1", "d2", 3),
        ("q1", "d3", 3),
        ("q2", "d1", 0),
        ("q2", "d2", 1),
        ("q3", "gone", 2),
        ("q4", "d3", 3),
    ]
    for name, schema, rows in (
        ("topics/test", canonical.TOPICS, [(f"q{at}", f"question {at}", f"q{at}") for at in range(1, 5)]),
        ("qrels/test", canonical.QRELS, qrels),
        ("docs", canonical.DOCS, [(f"d{at}", f"passage {at}") for at in range(1, 4)]),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(list(map(list, zip(*rows))), schema=schema), tmp_path / f"{name}.parquet")
    return tmp_path


def test_the_best_grade_then_the_first_of_equals(collection):
    assert excerpts.read(collection, "test", ["q2", "q1", "elsewhere"], rel=1) == {
        "q1": ("question 1", "d2", "passage 2", 2),
        "q2": ("question 2", "d2", "passage 2", 0),
    }


def test_only_what_reaches_rel_is_relevant(collection):
    assert excerpts.read(collection, "test", ["q1", "q2"], rel=3) == {
        "q1": ("question 1", "d2", "passage 2", 1),
        "q2": ("question 2", "", "", 0),
    }


def test_a_judged_passage_that_the_corpus_lacks_has_no_text(collection):
    assert excerpts.read(collection, "test", ["q3"], rel=1) == {"q3": ("question 3", "gone", "", 0)}
    assert excerpts.read(collection, "test", [], rel=1) == {}
