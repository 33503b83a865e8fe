"""The canonical format of a collection: passages, queries and graded judgments as parquet, whatever the source.

    <corpus>/docs.parquet             doc_id, text            row number = document number
    <corpus>/docs.json                {"documents": n, "language": ISO code, and the caps, each a number or null}
    <corpus>/topics/<split>.parquet   query_id, text, cluster
    <corpus>/qrels/<split>.parquet    query_id, doc_id, grade
    <corpus>/docpairs.parquet         query_id, positive_id, negative_id: released triples, where they are asked for
    <corpus>/card.json                sizes, what was dropped and why, the sources and their hashes (Card)

Judgments are ordered query by query in the order of the topics, which is the order of the source. `write.py` writes it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

DOCS = pa.schema([("doc_id", pa.string()), ("text", pa.string())])
TOPICS = pa.schema([("query_id", pa.string()), ("text", pa.string()), ("cluster", pa.string())])
QRELS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("grade", pa.int32())])
DOCPAIRS = pa.schema([("query_id", pa.string()), ("positive_id", pa.string()), ("negative_id", pa.string())])


class Caps(NamedTuple):
    """Where a collection's texts are cut, in tokens; None leaves it to the model. `tokens` is for both kinds."""

    tokens: int | None = None
    query_tokens: int | None = None
    passage_tokens: int | None = None


@dataclass(frozen=True)
class SplitSizes:
    """How large a split is; passages are relevant from the grade that its block says."""

    queries: int
    judgments: int
    clusters: int
    relevant_per_query: float
    words_per_query: float


@dataclass(frozen=True)
class Card:
    """What a collection is. dropped and noted count passages, queries and judgments by reason.

    fingerprint is the sha256 over all rows, in hex: the same whatever version of parquet wrote them.
    """

    origin: dict[str, str]
    documents: int
    splits: dict[str, SplitSizes]
    words_per_passage: float
    dropped: dict[str, int]
    noted: dict[str, int]
    fingerprint: str

    @property
    def read_from(self) -> str:
        """The sources in words, each with its version or the beginning of its sha256."""
        return ", ".join(f"{name} {version[:12]}" for name, version in self.origin.items())


def docs(folder: Path) -> pq.ParquetFile:
    """The passages of a collection (DOCS), to be read by row group; row number = document number."""
    return pq.ParquetFile(folder / "docs.parquet", memory_map=True)


def doc_ids(folder: Path) -> pa.Array:
    """The ids of a collection's passages; row number = document number."""
    return pq.read_table(folder / "docs.parquet", columns=["doc_id"])["doc_id"].combine_chunks()


def texts(folder: Path) -> Iterator[str]:
    """The texts of a collection's passages, one after the other, without holding them all."""
    for batch in docs(folder).iter_batches(10_000, columns=["text"]):
        yield from batch["text"].to_pylist()


def topics(folder: Path, split: str) -> pa.Table:
    """The queries of a split (TOPICS)."""
    return pq.read_table(folder / "topics" / f"{split}.parquet")


def qrels(folder: Path, split: str) -> pa.Table:
    """The judgments of a split (QRELS)."""
    return pq.read_table(folder / "qrels" / f"{split}.parquet")


def splits(folder: Path) -> list[str]:
    """The names of a collection's splits, sorted."""
    return sorted(path.stem for path in (folder / "topics").glob("*.parquet"))


def caps(folder: Path) -> Caps:
    """Where this collection's texts are cut, as corpora.<name> says."""
    stored = _described(folder)
    return Caps(*(stored.get(field) for field in Caps._fields))


def language(folder: Path) -> str:
    """The ISO 639-1 code of the language that a collection is in, as corpora.<name> says or as its texts show."""
    return _described(folder).get("language", "en")


def _described(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "docs.json").read_text())


def card(folder: Path) -> Card:
    """The card of a collection."""
    stored = json.loads((folder / "card.json").read_text())
    return Card(**{**stored, "splits": {split: SplitSizes(**sizes) for split, sizes in stored["splits"].items()}})
