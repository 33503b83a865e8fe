"""The validation sample of a collection: which queries, what is relevant to them, and how many passages."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.collections import canonical
from stages.core.errors import UserError
from stages.negatives import validation_sample

IDS = [f"d{number}" for number in range(50)]


def plant(folder, grades: dict[str, dict[str, int]]):
    for part in ("topics", "qrels"):
        (folder / part).mkdir()
    pq.write_table(pa.table([IDS, [f"text of {doc}" for doc in IDS]], schema=canonical.DOCS), folder / "docs.parquet")
    topics = pa.table([list(grades), [f"text of {query}" for query in grades], list(grades)], schema=canonical.TOPICS)
    pq.write_table(topics, folder / "topics/validation.parquet")
    rows = [(query, doc, grade) for query, own in grades.items() for doc, grade in own.items()]
    pq.write_table(pa.table(list(zip(*rows, strict=True)), schema=canonical.QRELS), folder / "qrels/validation.parquet")
    return folder


@settings(max_examples=40, deadline=None)
@given(
    grades=st.dictionaries(
        st.integers(0, 99).map("q{}".format),
        st.dictionaries(st.sampled_from(IDS), st.integers(0, 2), min_size=1, max_size=4),
        min_size=1,
        max_size=12,
    ).filter(lambda grades: any(grade for own in grades.values() for grade in own.values())),
    queries=st.integers(1, 12),
    size=st.integers(1, 60),
)
def test_the_first_queries_by_hash_with_all_that_is_relevant_and_no_passage_twice(
    tmp_path_factory, grades, queries, size
):
    folder = plant(tmp_path_factory.mktemp("collection"), grades)
    validation_sample.write(folder, queries, size, folder / "validation")
    sampled = pq.read_table(folder / "validation/queries.parquet").to_pylist()
    relevant = {query: [doc for doc, grade in own.items() if grade] for query, own in grades.items()}
    asked = sorted(
        (query for query in grades if relevant[query]), key=lambda query: hashlib.sha256(query.encode()).hexdigest()
    )
    assert sampled == [
        {"query_id": query, "text": f"text of {query}", "relevant": relevant[query]} for query in asked[:queries]
    ]
    passages = pq.read_table(folder / "validation/passages.parquet").to_pydict()
    needed = {doc for entry in sampled for doc in entry["relevant"]}
    assert needed <= set(passages["doc_id"]) and len(set(passages["doc_id"])) == len(passages["doc_id"])
    assert len(passages["doc_id"]) == min(len(IDS), max(size, len(needed)))
    assert passages["doc_id"] == sorted(passages["doc_id"], reverse=True)
    assert passages["text"] == [f"text of {doc}" for doc in passages["doc_id"]]


def test_the_sample_depends_on_nothing_but_the_collection(tmp_path):
    folder = plant(tmp_path, {f"q{n}": {f"d{n}": 1} for n in range(20)})
    for out in ("one", "other"):
        validation_sample.write(folder, 8, 30, folder / out)
    for name in ("queries.parquet", "passages.parquet"):
        assert (folder / "one" / name).read_bytes() == (folder / "other" / name).read_bytes()


def test_a_relevant_passage_that_the_corpus_lacks_is_named(tmp_path):
    folder = plant(tmp_path, {"q1": {"gone": 1}})
    with pytest.raises(UserError, match=r"docs\.parquet: has no 'gone'"):
        validation_sample.write(folder, 1, 5, folder / "validation")
