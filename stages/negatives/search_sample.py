"""The validation sample that the trials of a search are scored on: all validation queries, and passages hard to beat.

In the files of validation_sample. Among its passages are all that is relevant, what a retriever ranks highest for each
query, and a random share of the rest. Without the ranks a sample is too easy to tell good settings apart; without the
rest a model that moves far passages up would go unpunished.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections import canonical
from stages.negatives import validation_sample
from stages.retrieval import bm25, dense, ranking


def write(collection: Path, index: Path, top: int, others: int, block: int, drop_self: bool, out: Path) -> None:
    """Write the sample of a collection to the folder `out`; the arguments are those of `passages`.

    With drop_self no passage has a query's id, unless it is relevant to another one.
    """
    topics, qrels = validation_sample.answered(collection)
    chosen = passages(collection, index, topics, qrels, "validation", top + drop_self, others, block)
    if drop_self:
        own = pc.is_in(chosen, value_set=topics["query_id"].combine_chunks())
        chosen = chosen.filter(pc.or_(pc.invert(own), pc.is_in(chosen, value_set=qrels["doc_id"].unique())))
    validation_sample.put(collection, topics, qrels, chosen, out)


def passages(
    collection: Path, index: Path, topics: pa.Table, qrels: pa.Table, split: str, top: int, others: int, block: int
) -> pa.Array:
    """The ids of a sample's passages for some topics of a split and their judgments.

    index is one seed run's index of the collection (vectors, or BM25), of whose ranking the first `top` of each query
    are taken; `others` passages are drawn from the rest, from one fixed seed. `block` vectors are searched at once.
    """
    doc_ids = canonical.doc_ids(collection)
    rows = _ranked(index, topics, canonical.topics(collection, split), split, doc_ids, top, block)
    chosen = pa.concat_arrays([qrels["doc_id"].unique(), doc_ids.take(pa.array(rows[rows >= 0]))]).unique()
    rest = doc_ids.filter(pc.invert(pc.is_in(doc_ids, value_set=chosen)))
    drawn = np.random.default_rng(0).permutation(len(rest))[:others]
    return pa.concat_arrays([chosen, rest.take(pa.array(drawn))])


def _ranked(
    index: Path, topics: pa.Table, encoded: pa.Table, split: str, doc_ids: pa.Array, depth: int, block: int
) -> np.ndarray:
    """Rows (queries, depth) of the passages that an index ranks highest for the topics, of which `encoded` has all."""
    places = ranking.places(doc_ids)
    if (index / "bm25").exists():
        return bm25.top_k(topics["text"].to_pylist(), index / "bm25", depth, places)[1]
    at = pc.index_in(topics["query_id"], value_set=encoded["query_id"].combine_chunks())
    queries = np.load(index / f"topics/{split}.npy")[np.asarray(at)]
    return dense.top_k(queries, np.load(index / "docs.npy", mmap_mode="r"), depth, block, places)[1]
