"""Passages by id, whatever row group they are in."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collections import passages
from stages.collections.canonical import DOCS
from stages.core.errors import UserError

IDS = [f"d{number}" for number in range(25)]


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    """25 passages in row groups of 4."""
    path = tmp_path_factory.mktemp("passages") / "docs.parquet"
    pq.write_table(pa.table([IDS, [f"text of {doc}" for doc in IDS]], schema=DOCS), path, row_group_size=4)
    return path


@given(wanted=st.lists(st.sampled_from([*IDS, "absent", "gone"]), max_size=30))
def test_texts_and_row_numbers_are_those_of_the_file(docs, wanted):
    ids = pa.chunked_array([wanted[:7], wanted[7:]], pa.string())
    there = sorted(set(wanted) & set(IDS), key=IDS.index)
    selected = passages.select(docs, ids)
    assert selected.to_pylist() == [{"doc_id": doc, "text": f"text of {doc}"} for doc in there]
    assert passages.texts(docs, ids.combine_chunks()) == {doc: f"text of {doc}" for doc in there}
    known = [doc for doc in wanted if doc in IDS]
    rows = passages.row_numbers(docs, pa.chunked_array([known[:3], known[3:]], pa.string()))
    assert rows.tolist() == [IDS.index(doc) for doc in known]


def test_an_absent_id_is_named(docs):
    with pytest.raises(UserError, match=r"docs\.parquet: has no 'absent'"):
        passages.row_numbers(docs, pa.chunked_array([["d3", "absent", "gone"]]))
