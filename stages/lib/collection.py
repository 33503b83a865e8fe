"""The house form of a collection: passages, queries and graded judgments as parquet, whatever the source.

    <corpus>/docs.parquet             doc_id, text            row number = document number
    <corpus>/docs.json                {"documents": n, "tokens": cap or null}
    <corpus>/topics/<split>.parquet   query_id, text, cluster
    <corpus>/qrels/<split>.parquet    query_id, doc_id, grade
    <corpus>/card.json                sizes, what was dropped and why, the sources and their hashes
"""
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

DOCS = pa.schema([("doc_id", pa.string()), ("text", pa.string())])
TOPICS = pa.schema([("query_id", pa.string()), ("text", pa.string()), ("cluster", pa.string())])
QRELS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("grade", pa.int32())])


@dataclass
class Source:
    """What a reader of a collection hands over, before anything is checked.

    docs streams (doc_id, text) and is read once. queries maps query_id to (text, cluster); the cluster names what
    queries share (a package, a topic) and equals the query_id where nothing is known. qrels maps a split's name
    to its (query_id, doc_id, grade) rows, several files of one split already joined. dropped counts what the reader
    itself left out, by reason; origin names the files or packages read, with version or sha256.
    """
    docs: Iterator[tuple[str, str]]
    queries: dict[str, tuple[str, str]]
    qrels: dict[str, list[tuple[str, str, int]]]
    dropped: dict[str, int] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
