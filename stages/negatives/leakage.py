"""The guard against leakage: which passages must not be negatives, and a check of what was drawn."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections import canonical
from stages.collections.checks import digests

PAIRS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string())])
COPIES = pa.schema([("doc_id", pa.string()), ("first", pa.string())])


@dataclass(frozen=True)
class Forbidden:
    """`pairs` (PAIRS) are known to be relevant; `passages` (doc_id) must be negatives of no query.

    `copies` (COPIES) are the passages that repeat the text of an earlier one, the `first` with it, case and white space
    aside: where one of them must not be a negative, none of them may.
    """

    pairs: pa.Table
    passages: pa.Array
    copies: pa.Table = field(default_factory=COPIES.empty_table)

    def mask(self, query_ids: pa.Array | pa.ChunkedArray, doc_ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """For each of n queries whether the passage paired with it may not be its negative: (n,) of booleans."""
        firsts = self.first(doc_ids)
        known = pc.is_in(keys(query_ids, firsts), value_set=self._pairs)
        return np.asarray(pc.or_(known, pc.is_in(firsts, value_set=self._passages)))

    def first(self, doc_ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """For each passage the first one with its text, mostly itself."""
        at = pc.index_in(doc_ids, value_set=self.copies["doc_id"])
        return pc.coalesce(self.copies["first"].combine_chunks().take(_flat(at)), _flat(doc_ids))

    @property
    def by_text(self) -> int:
        """How many passages are only here because another one with their text is."""
        named = pa.chunked_array([*self.pairs["doc_id"].chunks, self.passages], pa.string()).unique()
        members = pa.chunked_array([*self.copies["doc_id"].chunks, self.copies["first"].unique()], pa.string())
        touched = pc.is_in(self.first(members), value_set=self.first(named))
        return pc.sum(pc.and_not(touched, _flat(pc.is_in(members, value_set=named)))).as_py() or 0

    @cached_property
    def _pairs(self) -> pa.Array:
        return pc.unique(keys(_flat(self.pairs["query_id"]), self.first(self.pairs["doc_id"])))

    @cached_property
    def _passages(self) -> pa.Array:
        return self.first(self.passages)


def forbidden(collection: Path, judged: list[str], allow_judged: bool, drop_self: bool = False) -> Forbidden:
    """What is never a negative for the training queries of a collection.

    These are the passages relevant (grade >= 1) to the query itself in any split; those with the query's own text and,
    with drop_self, with its id; and, unless allow_judged, those relevant to any query of a split in `judged` or of
    validation. With each of them go all passages with its text.
    """
    splits = sorted(path.stem for path in (collection / "qrels").glob("*.parquet"))
    relevant = {split: _relevant(collection, split) for split in splits}
    measured = [] if allow_judged else [*judged, *({"validation"} & set(splits))]
    chunks = [chunk for split in measured for chunk in relevant[split]["doc_id"].chunks]
    copies, themselves = _texts(collection)
    pairs = [table.select(PAIRS.names).cast(PAIRS) for table in relevant.values()]
    if drop_self:
        asked = canonical.topics(collection, "train")["query_id"]
        pairs.append(pa.table([asked, asked], schema=PAIRS))
    return Forbidden(pa.concat_tables([*pairs, themselves]), pa.chunked_array(chunks, pa.string()).unique(), copies)


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


def _texts(collection: Path) -> tuple[pa.Table, pa.Table]:
    """The copies (COPIES) among the passages, and the training queries with the first passage of their text (PAIRS)."""
    docs, topics = canonical.docs(collection), canonical.topics(collection, "train")
    ids = canonical.doc_ids(collection)
    parts = [digests(batch["text"].to_pylist()) for batch in docs.iter_batches(100_000, columns=["text"])]
    texts, first, number = np.unique(np.concatenate(parts), return_index=True, return_inverse=True)
    later = np.flatnonzero(first[number] != np.arange(len(ids)))
    copies = pa.table([ids.take(pa.array(later)), ids.take(pa.array(first[number][later]))], schema=COPIES)
    asked = digests(topics["text"].to_pylist())
    at = np.searchsorted(texts, asked).clip(max=len(texts) - 1)
    same = np.flatnonzero(texts[at] == asked)
    queries = topics["query_id"].combine_chunks().take(pa.array(same))
    return copies, pa.table([queries, ids.take(pa.array(first[at[same]]))], schema=PAIRS)


def _flat(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _relevant(collection: Path, split: str) -> pa.Table:
    judgments = canonical.qrels(collection, split)
    return judgments.filter(pc.greater_equal(judgments["grade"], 1))
