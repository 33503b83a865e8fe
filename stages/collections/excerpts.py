"""Excerpts: what a query asks, the passage that answers it best, and how many more are relevant."""
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


class Excerpt(NamedTuple):
    """A query's text, the id and text of its most relevant passage ("" where it has none), how many more there are."""
    query: str
    passage_id: str
    passage: str
    more: int


def read(collection: Path, split: str, query_ids: list[str], rel: int) -> dict[str, Excerpt]:
    """query_id -> its excerpt, for those of query_ids that the split has, from a collection's folder (collection.py).

    Passages from grade `rel` are relevant. The highest grade is the most relevant; of equal ones the first in the
    qrels. A passage that is judged but not in the corpus has the text "".
    """
    topics = _lines(collection / "topics" / f"{split}.parquet", "query_id", query_ids)
    qrels = _lines(collection / "qrels" / f"{split}.parquet", "query_id", query_ids)
    relevant: dict[str, dict[str, int]] = {}
    for query, passage, grade in zip(qrels["query_id"], qrels["doc_id"], qrels["grade"]):
        if grade >= rel:
            relevant.setdefault(query, {})[passage] = grade
    best = {query: max(grades, key=grades.get) for query, grades in relevant.items()}
    docs = _lines(collection / "docs.parquet", "doc_id", sorted(set(best.values())))
    texts = dict(zip(docs["doc_id"], docs["text"]))
    return {query: Excerpt(text, best.get(query, ""), texts.get(best.get(query), ""),
                           max(0, len(relevant.get(query, [])) - 1))
            for query, text in zip(topics["query_id"], topics["text"])}


def _lines(path: Path, key: str, ids: list[str]) -> dict[str, list]:
    return pq.read_table(path, filters=pc.field(key).isin(pa.array(ids, pa.string()))).to_pydict()
