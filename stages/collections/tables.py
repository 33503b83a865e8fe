"""Files of rows: jsonl, csv and tsv, each plain or .gz, and parquet.

A row comes with its place, `file:line` or `file: row n`, which is where a UserError about it begins.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stages.core import paths
from stages.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

FORMS = (".jsonl", ".csv", ".tsv", ".parquet")
POINTER = b"version https://git-lfs"


class Row(NamedTuple):
    """Values by column, and where they stand."""

    where: str
    values: dict[str, Any]


def form(path: Path) -> str:
    """The ending of a file's name that says what is in it, .gz aside."""
    return Path(path.name.removesuffix(".gz")).suffix


def folder_of(location: str) -> Path:
    """The folder that params.yaml names; UserError where there is none."""
    folder = paths.of_user(location)
    if folder.is_dir():
        return folder
    wrong = (
        "not a folder; unpack it, or name the folder that it is in" if folder.exists() else "there is no such folder"
    )
    raise UserError(f"{folder}: {wrong}")


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
    """The rows of a file; UserError names the first line that cannot be read."""
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
    try:
        with open(path, "rb") as handle:
            begin = handle.read(len(POINTER))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})")
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
    """One row group is in memory at once, without columns of vectors; a part of it is Python objects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            columns = [field.name for field in file.schema_arrow if _is_read(field.type)]
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, columns).to_batches(max_chunksize=10_000):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(f"{path}: row {number}", values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read behind row {number} ({reason}); fetch the file again")


def _is_read(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold ids, texts, grades or lists of them."""
    import pyarrow as pa

    if not pa.types.is_nested(kind):
        return True
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and not pa.types.is_nested(kind.value_type) and not pa.types.is_floating(kind.value_type)
