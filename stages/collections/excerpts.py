"""Excerpts: a query's text, the passage that answers it best, and how many more are relevant."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stages.collections import canonical, passages


class Excerpt(NamedTuple):
    """A query's text, the id and text of its most relevant passage ("" where it has none), how many more there are."""

    query: str
    passage_id: str
    passage: str
    more: int


def read(collection: Path, split: str, query_ids: list[str], rel: int) -> dict[str, Excerpt]:
    """query_id -> its excerpt, for those of query_ids that the split has, in the split's order.

    Passages from grade `rel` are relevant. The highest grade is the most relevant; of equal ones the first in the
    qrels. A passage that is judged but not in the corpus has the text "".
    """
    topics = _of_queries(canonical.topics(collection, split), query_ids)
    qrels = _of_queries(canonical.qrels(collection, split), query_ids)
    relevant: dict[str, list[tuple[int, str]]] = {}
    for query, passage, grade in zip(qrels["query_id"], qrels["doc_id"], qrels["grade"], strict=True):
        if grade >= rel:
            relevant.setdefault(query, []).append((grade, passage))
    best = {query: max(judged, key=lambda entry: entry[0])[1] for query, judged in relevant.items()}
    texts = passages.texts(collection / "docs.parquet", pa.array(best.values(), pa.string()))
    return {
        query: Excerpt(
            text, best.get(query, ""), texts.get(best.get(query, ""), ""), max(0, len(relevant.get(query, [])) - 1)
        )
        for query, text in zip(topics["query_id"], topics["text"], strict=True)
    }


def _of_queries(table: pa.Table, query_ids: list[str]) -> dict[str, list]:
    return table.filter(pc.is_in(table["query_id"], value_set=pa.array(query_ids, pa.string()))).to_pydict()
