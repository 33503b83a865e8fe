"""Passages and queries in the rows of tables, whose columns go by their usual names."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from stages.collections.source import Query
from stages.collections.tables import Row
from stages.core.errors import UserError

PASSAGE = {
    "id": ("id", "docid", "docno", "pid", "passageid", "corpusid", "documentid"),
    "title": ("title",),
    "text": ("text", "contents", "content", "passage", "document"),
}
QUERY = {"id": ("id", "qid", "queryid"), "text": ("text", "query", "question", "contents")}
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def passages(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """(id, text) of passages; title and text are joined by a space, and either may be null."""
    for row in rows:
        columns = named(row, "passage")
        title = text_of(row, columns["title"]) if "title" in columns else ""
        yield id_of(row, columns["id"]), f"{title} {text_of(row, columns['text'])}".strip()


def queries(rows: Iterable[Row], dropped: Counter[str]) -> dict[str, Query]:
    """The queries by id, each its own cluster. UserError where an id has two texts; repetitions are counted."""
    found: dict[str, Query] = {}
    for row in rows:
        columns = named(row, "query")
        query_id, text = id_of(row, columns["id"]), text_of(row, columns["text"]).strip()
        if query_id not in found:
            found[query_id] = Query(text, query_id)
        elif found[query_id].text == text:
            dropped["repeated queries"] += 1
        else:
            raise UserError(f"{row.where}: query id '{query_id}' appears twice, with different texts")
    return found


def named(row: Row, kind: str) -> dict[str, str]:
    """What a passage or a query consists of -> the column that holds it; UserError where there is no such column."""
    columns = _columns(tuple(row.values), kind)
    for part, spelled in (("id", "_id"), ("text", "text")):
        if part not in columns:
            there = ", ".join(map(str, row.values)) or "none"
            raise UserError(f'{row.where}: has no "{spelled}"; there are: {there}')
    return columns


@cache
def _columns(names: tuple[str, ...], kind: str) -> dict[str, str]:
    return matching(names, PASSAGE if kind == "passage" else QUERY)


def matching(names: Iterable[str], wanted: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Each part -> the column that is called one of its names, whatever the case and `_` or `-`; the first name wins.

    `_id` is taken before `id`.
    """
    spelled: dict[str, str] = {}
    for name in sorted(names, key=lambda name: not name.startswith("_")):
        spelled.setdefault(re.sub("[^a-z0-9]", "", name.lower()), name)
    return {
        part: next(spelled[name] for name in of if name in spelled) for part, of in wanted.items() if {*of} & {*spelled}
    }


def id_of(row: Row, column: str) -> str:
    """An id as text; a whole number is one. UserError for any other value, and for control characters.

    Programs that judge runs read an id only up to a NUL, and tables of runs are cut at tabs and at line ends.
    """
    value = row.values[column]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise UserError(f'{row.where}: "{column}" is not there, empty, or neither text nor a whole number')
    if CONTROL.search(str(value)):
        raise UserError(
            f'{row.where}: "{column}" {str(value)!r} holds a tab, a line end or a control character; rename it'
        )
    return _characters(row, str(value))


def text_of(row: Row, column: str) -> str:
    """A text; null is an empty one. UserError for what is none."""
    value = row.values[column]
    if value is not None and not isinstance(value, str):
        raise UserError(f'{row.where}: "{column}" is not a text')
    return _characters(row, value or "")


def _characters(row: Row, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{row.where}: half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return text
