"""Rows of pairs or triplets as what a collection is trained on.

Where they hold texts, passages and queries are told apart by their text, and their ids are made from it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from stages.collections import records
from stages.collections.source import Query, Source
from stages.collections.splits import sha256
from stages.collections.tables import Row
from stages.core.errors import UserError
from stages.params.corpora import Pairs

Rows = Callable[[], Iterator[Row]]  # read anew at each call


class Example(NamedTuple):
    """What a row holds, as ids or as texts; usually one query, one positive and one negative, or none."""

    queries: list[str]
    positives: list[str]
    negatives: list[str]


def of_texts(rows: Rows, columns: Pairs, origin: dict[str, str]) -> Source:
    """The collection of all queries and passages of pairs or triplets of texts, read three times over.

    Each query's positives are relevant to it with grade 1. Memory holds queries, judgments and the passages' ids.
    """
    queries: dict[str, Query] = {}
    relevant: dict[tuple[str, str], None] = {}
    dropped: Counter[str] = Counter()
    for example in _examples(rows, columns, _texts):
        if not example.queries or not example.positives:
            dropped["pairs without text"] += 1
        for text in example.queries if example.positives else ():
            queries.setdefault(identity(text), Query(text, identity(text)))
            relevant |= dict.fromkeys((identity(text), identity(positive)) for positive in example.positives)
    return Source(
        docs=_passages(rows, columns),
        queries=queries,
        qrels={"train": [(query, doc, 1) for query, doc in relevant]},
        dropped=dict(dropped),
        origin=origin,
        docpairs=_triplets(_examples(rows, columns, _ids_of_texts)) if columns.negatives else None,
    )


def judgments(rows: Rows, columns: Pairs) -> list[tuple[str, str, int]]:
    """The (query_id, doc_id, 1) of pairs of ids, each once."""
    examples = _examples(rows, columns, _ids)
    pairs = ((query, doc) for example in examples for query in example.queries for doc in example.positives)
    return [(query, doc, 1) for query, doc in dict.fromkeys(pairs)]


def released(rows: Rows, columns: Pairs) -> Iterator[tuple[str, str, str]] | None:
    """(query_id, positive doc_id, negative doc_id) of triplets of ids; None of pairs, which have no negatives."""
    return _triplets(_examples(rows, columns, _ids)) if columns.negatives else None


def identity(text: str) -> str:
    """The id of a text: the first 20 digits of its sha256."""
    return sha256(text)[:20]


def _examples(rows: Rows, columns: Pairs, read: Callable[[Row, str], list[str]]) -> Iterator[Example]:
    for row in rows():
        negatives = [negative for column in columns.negatives for negative in read(row, column)]
        yield Example(read(row, columns.query), read(row, columns.positive), negatives)


def _passages(rows: Rows, columns: Pairs) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for example in _examples(rows, columns, _texts):
        for text in (*example.positives, *example.negatives) if example.queries and example.positives else ():
            if (doc_id := identity(text)) not in seen:
                seen.add(doc_id)
                yield doc_id, text


def _triplets(examples: Iterator[Example]) -> Iterator[tuple[str, str, str]]:
    for example in examples:
        yield from product(*example)


def _ids_of_texts(row: Row, column: str) -> list[str]:
    return [identity(text) for text in _texts(row, column)]


def _texts(row: Row, column: str) -> list[str]:
    """The stripped texts of a column, which holds one or a list of them; none for null and for empty ones."""
    texts = (records.text_of(part, column).strip() for part in _parts(row, column))
    return [text for text in texts if text]


def _ids(row: Row, column: str) -> list[str]:
    return [records.id_of(part, column) for part in _parts(row, column)]


def _parts(row: Row, column: str) -> list[Row]:
    if column not in row.values:
        raise UserError(
            f"{row.where}: has no column '{column}', which pairs: names; there are: {', '.join(row.values)}"
        )
    value = row.values[column]
    return [Row(row.where, {column: one}) for one in (value if isinstance(value, list) else [value])]
