"""Files of records, one a row: jsonl, csv and tsv, each plain or .gz, and parquet; and passages and queries in them.

A row comes with its place, `file:line` or `file: row n`, which is where a UserError about it begins.
"""

import csv
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from stages.collections.source import Query
from stages.core.errors import UserError

FORMS = (".jsonl", ".csv", ".tsv", ".parquet")
PASSAGE = {
    "id": ("id", "docid", "docno", "pid", "passageid", "corpusid", "documentid"),
    "title": ("title",),
    "text": ("text", "contents", "content", "passage", "document"),
}
QUERY = {"id": ("id", "qid", "queryid"), "text": ("text", "query", "question", "contents")}
POINTER = b"version https://git-lfs"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Row(NamedTuple):
    """A record and its place."""

    where: str
    values: dict[str, Any]


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


def form(path: Path) -> str:
    """The ending of a file's name that says what is in it, .gz aside."""
    return Path(path.name.removesuffix(".gz")).suffix


def find(folder: Path, stem: str, forms: Iterable[str] = FORMS) -> Path:
    """The one file of a folder called `stem`, in any of the forms, plain or .gz, or with its form in its name.

    Raises UserError where there is none, and where there are several.
    """
    found = there(folder, stem, forms)
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise UserError(f"{folder}: holds {names}; keep the one that is meant")
    if not found:
        others = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
        raise UserError(f"{folder / stem}{FORMS[0]}: there is no such file; there are: {others or 'none'}")
    return found[0]


def there(folder: Path, stem: str, forms: Iterable[str]) -> list[Path]:
    """The files of a folder that are called `stem`, as `find` reads it."""
    named = [stem] if stem.removesuffix(".gz").endswith((*forms,)) else [stem + ending for ending in forms]
    names = [
        name + packed
        for name in named
        for packed in ("", ".gz")
        if not name.endswith((".gz", ".parquet")) or not packed
    ]
    return [folder / name for name in names if (folder / name).is_file()]


def rows(path: Path) -> Iterator[Row]:
    """The records of a file; UserError names the first line that cannot be read."""
    check_content(path)
    match form(path):
        case ".parquet":
            return _of_parquet(path)
        case ".csv" | ".tsv":
            return separated(path, lines(path), "," if form(path) == ".csv" else "\t")
        case _:
            return _of_jsonl(path)


def lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, plain or .gz, blank ones included."""
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as handle:
            for number, line in enumerate(handle, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: not valid UTF-8 ({error.reason} at byte {error.start + 1} of the line)")
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}:{number + 1}: cannot be read any further ({error}); fetch the file again")


def check_content(path: Path) -> None:
    """UserError for a file that holds something else than its name says, as its first bytes show."""
    with open(path, "rb") as handle:
        begin = handle.read(len(POINTER))
    if begin == POINTER:
        raise UserError(f"{path}: a pointer that git-lfs left in the file's place; run git lfs pull")
    if begin.startswith(b"\x1f\x8b") and path.suffix != ".gz":
        raise UserError(f"{path}: is gzipped; call it {path.name}.gz")
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: is written in UTF-16; write it in UTF-8")


def _of_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines(path), 1):
        if line.isspace():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise UserError(f"{path}:{number}: not valid JSON; a line is one object")
        if not isinstance(record, dict):
            raise UserError(f"{path}:{number}: not a JSON object")
        yield Row(f"{path}:{number}", record)


def separated(path: Path, text: Iterator[str], delimiter: str) -> Iterator[Row]:
    """The rows of csv (RFC 4180) or, with a tab, tsv under a header; values are text and nothing else.

    A field in quotes may run over several lines; quotes in it are doubled. Raises UserError for other quotes, for a row
    with more or fewer fields than the header, and for a field over several lines with tabs in it, which is rather
    several rows with a stray quote.
    """
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            where, line = f"{path}:{line}", reader.line_num + 1
            if not any(field.strip() for field in fields):
                continue
            if not header:
                header = _header(where, fields)
                continue
            if len(fields) != len(header):
                raise UserError(f"{where}: {len(fields)} fields under a header of {len(header)} ({', '.join(header)})")
            if delimiter == "\t" and any("\t" in field and "\n" in field for field in fields):
                raise UserError(f"{where}: a quote that is closed lines later, behind tabs; double it, or write jsonl")
            yield Row(where, dict(zip(header, fields, strict=True)))
    except csv.Error as error:
        raise UserError(
            f"{path}:{line}: {error}; a field with quotes is quoted and its quotes are doubled, or write jsonl"
        )


def _header(where: str, fields: list[str]) -> list[str]:
    names = [field.strip() for field in fields]
    if len({*names}) < len(names):
        raise UserError(f"{where}: the header has a column twice: {', '.join(names)}")
    return names


def _of_parquet(path: Path) -> Iterator[Row]:
    """One row group is in memory at once; a part of it is Python objects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group).to_batches(max_chunksize=10_000):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(f"{path}: row {number}", values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read behind row {number} ({reason}); fetch the file again")
