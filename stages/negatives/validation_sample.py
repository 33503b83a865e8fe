"""The validation sample: what training is validated on, the same for every seed and every variant of a block.

queries.parquet    query_id, text, relevant (a list of doc_id)
passages.parquet   doc_id, text, the highest id first: what is in order of the rows is in that of `ranking` among equals
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.collections import canonical, passages
from stages.collections.splits import sha256
from stages.negatives.columns import lookup
from stages.retrieval import ranking


def write(collection: Path, queries: int, size: int, out: Path) -> None:
    """Write to the folder `out` some validation queries, what is relevant to them, and other passages.

    Of the queries with a relevant passage (grade >= 1) the first `queries` by the sha256 of their ids are in it.
    Passages are drawn uniformly, from one fixed seed, until there are `size` of them with the relevant ones.
    """
    topics, qrels = answered(collection)
    topics = _first_by_sha256(topics, queries)
    qrels = qrels.filter(pc.is_in(qrels["query_id"], value_set=topics["query_id"]))
    put(collection, topics, qrels, _passages(canonical.doc_ids(collection), qrels["doc_id"].unique(), size), out)


def answered(collection: Path, split: str = "validation") -> tuple[pa.Table, pa.Table]:
    """The queries of a split that have a relevant passage (grade >= 1), and the judgments that say so."""
    topics = canonical.topics(collection, split).select(["query_id", "text"])
    qrels = canonical.qrels(collection, split)
    qrels = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    return topics.filter(pc.is_in(topics["query_id"], value_set=qrels["query_id"])), qrels


def put(collection: Path, topics: pa.Table, qrels: pa.Table, doc_ids: pa.Array, out: Path) -> None:
    """Write a sample of these queries and passages, all that qrels names among them, to a new folder."""
    doc_ids = doc_ids.take(pa.array(np.argsort(ranking.places(doc_ids))))
    relevant: dict[str, list[str]] = {query: [] for query in topics["query_id"].to_pylist()}
    for query, passage in zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist(), strict=True):
        relevant[query].append(passage)
    docs = collection / "docs.parquet"
    texts = lookup(passages.select(docs, doc_ids), doc_ids, docs)
    out.mkdir()
    pq.write_table(topics.append_column("relevant", pa.array(list(relevant.values()))), out / "queries.parquet")
    pq.write_table(pa.table({"doc_id": doc_ids, "text": texts}), out / "passages.parquet")


def _passages(doc_ids: pa.Array, relevant: pa.Array, size: int) -> pa.Array:
    """The relevant passages and, up to `size` in all, others drawn uniformly."""
    others = doc_ids.filter(pc.invert(pc.is_in(doc_ids, value_set=relevant)))
    drawn = np.random.default_rng(0).permutation(len(others))[: max(0, size - len(relevant))]
    return pa.concat_arrays([relevant, others.take(pa.array(drawn))])


def _first_by_sha256(topics: pa.Table, count: int) -> pa.Table:
    keys = [sha256(query) for query in topics["query_id"].to_pylist()]
    return topics.take(pa.array(np.argsort(keys, kind="stable")[:count]))
