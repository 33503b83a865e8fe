"""What a reader of a collection hands over; nothing in it is checked yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stages.params.corpora import Corpus


class Query(NamedTuple):
    """A query's text and its cluster: what it shares with others (a package, a topic), or its own id."""

    text: str
    cluster: str


@dataclass(frozen=True)
class Source:
    """A collection: its passages, queries and judgments.

    docs streams (doc_id, text) and is read once. queries maps a query_id to its query. qrels maps the name of each
    split, as in the canonical format, to its (query_id, doc_id, grade), several files of one split already joined.
    dropped counts what the reader itself left out, by reason. origin maps the files or packages read to their version
    or sha256. docpairs streams (query_id, positive doc_id, negative doc_id), the training triples that the collection
    releases, where they are asked for.
    """

    docs: Iterator[tuple[str, str]]
    queries: dict[str, Query]
    qrels: dict[str, list[tuple[str, str, int]]]
    dropped: dict[str, int] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    docpairs: Iterator[tuple[str, str, str]] | None = None


def subsets(corpus: Corpus) -> dict[str, str]:
    """The name of each split in the canonical format -> its name in the source."""
    train = {"train": corpus.train} if corpus.train is not None else {}
    return train | {split: split if rules.subset is None else rules.subset for split, rules in corpus.judged.items()}
