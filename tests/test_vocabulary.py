"""Word frequencies of a collection and how like two are, on texts counted by hand."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.analysis import vocabulary
from stages.collections import canonical


def write(path, texts: list[str]):
    pq.write_table(pa.table([[f"d{at}" for at in range(len(texts))], texts], schema=canonical.DOCS), path)
    return path


def test_shares_are_of_all_words_whatever_their_case(tmp_path):
    docs = write(tmp_path / "docs.parquet", ["Red boats, red sails", "", "A clock"])
    shares, counted, total = vocabulary.frequencies(docs)
    assert shares == pytest.approx({"red": 2 / 6, "boats": 1 / 6, "sails": 1 / 6, "a": 1 / 6, "clock": 1 / 6})
    assert (counted, total) == (3, 3)


@pytest.mark.parametrize("most, kept", [(10, range(10)), (9, range(0, 10, 2)), (4, range(0, 10, 3)), (1, [0])])
def test_of_a_larger_collection_every_nth_passage_counts_across_batches(most, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "BATCH", 4)
    docs = write(tmp_path / "docs.parquet", [f"word{at}" for at in range(10)])
    shares, counted, total = vocabulary.frequencies(docs, most)
    assert sorted(shares) == [f"word{at}" for at in kept] and (counted, total) == (len(kept), 10) and counted <= most


def test_similarity_is_the_sum_of_the_smaller_over_that_of_the_larger():
    one, other = {"a": 0.5, "b": 0.5}, {"a": 0.25, "b": 0.5, "c": 0.25}
    assert vocabulary.weighted_jaccard(one, other) == pytest.approx((0.25 + 0.5) / (0.5 + 0.5 + 0.25))
    assert vocabulary.weighted_jaccard(one, other) == vocabulary.weighted_jaccard(other, one)
    assert vocabulary.weighted_jaccard(one, one) == 1
    assert vocabulary.weighted_jaccard(one, {"c": 1.0}) == 0 == vocabulary.weighted_jaccard({}, {})
