"""The columns of a table of triplets: ids, ranks, a pool's scores, texts.

They are query_id and positive_id; for each of k negatives negative_id, rank and negative_score, the second's being
negative_id_2, rank_2 and so on; positive_score; and the texts anchor, positive, negative, negative_2 to negative_k.
Scores are there where the negatives come from a pool. A rank of 0 was drawn from no ranking.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections import canonical, passages
from stages.core.errors import UserError

PART = 100_000  # texts that are copied at a time: an array of strings holds 2 GB
PAIRS = pa.schema([("query_id", pa.string()), ("positive_id", pa.string())])


def numbered(name: str, count: int) -> list[str]:
    """The names of `count` columns of one kind: negative, negative_2, negative_3 and so on."""
    return [name, *(f"{name}_{number}" for number in range(2, count + 1))]


def triplets(
    pairs: pa.Table,
    negative_ids: list[pa.Array],
    ranks: np.ndarray,
    positive_scores: np.ndarray | None = None,
    scores: np.ndarray | None = None,
) -> pa.Table:
    """The ids, ranks and scores of n pairs (PAIRS) with k negatives each.

    negative_ids are k arrays of n; ranks and scores (n, k); positive_scores (n,), nan where the pool has none.
    """
    columns = {name: pairs[name] for name in PAIRS.names}
    for at, number in enumerate(numbered("", len(negative_ids))):
        columns[f"negative_id{number}"] = negative_ids[at]
        columns[f"rank{number}"] = pa.array(ranks[:, at].astype(np.int32))
        if scores is not None:
            columns[f"negative_score{number}"] = pa.array(scores[:, at])
    if positive_scores is not None:
        columns["positive_score"] = pa.array(positive_scores, from_pandas=True)
    return pa.table(columns)


def with_texts(drawn: pa.Table, collection: Path, negatives_per_query: int) -> pa.Table:
    """Triplets with the texts of their queries and passages; UserError where the collection lacks one of them."""
    ids = {"positive": drawn["positive_id"]}
    for name in numbered("negative", negatives_per_query):
        ids[name] = drawn[name.replace("negative", "negative_id")]
    topics = canonical.topics(collection, "train")
    drawn = drawn.append_column("anchor", lookup(topics, drawn["query_id"], collection / "topics/train.parquet"))
    docs = collection / "docs.parquet"
    texts = passages.select(docs, pa.chunked_array([chunk for column in ids.values() for chunk in column.chunks]))
    for name, column in ids.items():
        drawn = drawn.append_column(name, lookup(texts, column, docs))
    return drawn


def lookup(texts: pa.Table, ids: pa.Array | pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    """The text of each id, of a table whose first column holds ids and whose column text their texts.

    Raises UserError naming the file `path` and an id that is not there.
    """
    at = pc.index_in(ids, value_set=texts.column(0).combine_chunks())
    if at.null_count:
        absent = ids[pc.index(at.is_null(), True).as_py()]
        raise UserError(f"{path}: has no '{absent}'; use a pool and released triples of this corpus")
    parts = [at.slice(start, PART) for start in range(0, len(at), PART)]
    taken = [texts["text"].take(part).cast(pa.string()) for part in parts]
    return pa.chunked_array([chunk for part in taken for chunk in part.chunks], pa.string())
