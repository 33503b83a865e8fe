"""The guard against leakage: which passages must not be negatives, and a check of what was drawn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections import canonical


@dataclass(frozen=True)
class Forbidden:
    """`pairs` (query_id, doc_id) are known to be relevant; `passages` (doc_id) must be negatives of no query."""

    pairs: pa.Table
    passages: pa.Array

    def mask(self, query_ids: pa.Array | pa.ChunkedArray, doc_ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """For each of n queries whether the passage paired with it may not be its negative: (n,) of booleans."""
        known = pc.is_in(keys(query_ids, doc_ids), value_set=keys(self.pairs["query_id"], self.pairs["doc_id"]))
        return np.asarray(pc.or_(known, pc.is_in(doc_ids, value_set=self.passages)))


def forbidden(collection: Path, judged: list[str], allow_judged: bool) -> Forbidden:
    """What is never a negative for the training queries of a collection.

    These are the passages relevant (grade >= 1) to the query itself in any split and, unless allow_judged, those
    relevant to any query of a split in `judged` or of validation.
    """
    splits = sorted(path.stem for path in (collection / "qrels").glob("*.parquet"))
    relevant = {split: _relevant(collection, split) for split in splits}
    measured = [] if allow_judged else [*judged, *({"validation"} & set(splits))]
    chunks = [chunk for split in measured for chunk in relevant[split]["doc_id"].chunks]
    pairs = pa.concat_tables(table.select(["query_id", "doc_id"]) for table in relevant.values())
    return Forbidden(pairs, pa.chunked_array(chunks, pa.string()).unique())


def violations(triplets: pa.Table, forbidden: Forbidden) -> pa.Table:
    """The (query_id, negative_id) of triplets, in any of their negative_id columns, that are forbidden."""
    names = [name for name in triplets.column_names if name.startswith("negative_id")]
    negatives = pa.concat_tables(
        pa.table({"query_id": triplets["query_id"], "negative_id": triplets[name]}) for name in names
    )
    return negatives.filter(pa.array(forbidden.mask(negatives["query_id"], negatives["negative_id"])))


def keys(query_ids: pa.Array | pa.ChunkedArray, doc_ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """One string for each pair of a query and a passage."""
    return pc.binary_join_element_wise(query_ids, doc_ids, "\t")


def _relevant(collection: Path, split: str) -> pa.Table:
    judgments = canonical.qrels(collection, split)
    return judgments.filter(pc.greater_equal(judgments["grade"], 1))
