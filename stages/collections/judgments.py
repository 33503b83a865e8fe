"""Files of judgments: BEIR's tables with a header (tsv, csv, jsonl, parquet) and TREC's lines, each plain or .gz."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from stages.collections import records, tables
from stages.collections.tables import Row
from stages.core.errors import UserError

Judgment = tuple[str, str, int]  # query_id, doc_id, grade
TREC = (".trec", ".txt", ".qrels")
FORMS = (".tsv", ".csv", ".jsonl", ".parquet", *TREC)
COLUMNS = {
    "query": ("queryid", "qid", "query", "topicid", "topic"),
    "passage": ("corpusid", "docid", "docno", "pid", "passageid", "documentid", "did", "passage", "doc", "document"),
    "grade": ("score", "grade", "rel", "relevance", "label", "relevant", "relevancy", "judgment"),
}
FIELDS = ("query", "iteration", "passage", "grade")


def read(path: Path) -> list[Judgment]:
    """(query_id, doc_id, grade) of each row, in their order.

    A table's header names its columns, in any order: query-id, corpus-id and score or another usual name. A file
    without a header and with four columns is TREC's (query 0 passage grade). Grades are whole numbers, also as 1.0.
    """
    return list(of_rows(rows(path)))


def find(folder: Path, subsets: dict[str, str]) -> dict[str, Path]:
    """The file of each split of `subsets` (its name here -> its stem in the folder).

    Raises UserError that names all splits that have none and those that are there, or the files of a split that has
    several.
    """
    absent = [stem for stem in dict.fromkeys(subsets.values()) if not tables.there(folder, stem, FORMS)]
    if absent:
        raise UserError(f"{folder}: {lacking(subsets, absent, stems(folder))}")
    return {split: tables.find(folder, stem, FORMS) for split, stem in subsets.items()}


def stems(folder: Path) -> list[str]:
    """The stems of the files of judgments in a folder, sorted."""
    there = {path.name.removesuffix(".gz") for path in folder.iterdir()} if folder.is_dir() else set()
    return sorted({Path(name).stem for name in there if name.endswith(FORMS)})


def lacking(subsets: dict[str, str], absent: list[str], there: list[str]) -> str:
    """What to say in params where a collection has no splits called `absent`, in one line."""
    line = f"no judgments of {' and '.join(absent)}; there are: {', '.join(there) or 'none'}"
    judged = [split for split, stem in subsets.items() if split != "train" and stem not in absent]
    judged = judged or [split for split in there if split not in ("train", subsets.get("train"))]
    says = []
    if "train" in subsets and subsets["train"] in absent:
        says.append("leave out train and say validation: 0 (nothing is trained on it then)")
    if there and not judged:
        says.append(f"to train on it alone say judged: {{}}, to measure on it judged: {{test: {{subset: {there[0]}}}}}")
    if judged and any(split != "train" and stem in absent for split, stem in subsets.items()):
        says.append(f"say judged: {{{', '.join(f'{split}: {{}}' for split in judged)}}}")
    return f"{line}; {', and '.join(says)}" if there and says else line


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file of judgments under their own header, or under FIELDS."""
    if tables.form(path) in (".jsonl", ".parquet"):
        return tables.rows(path)
    return _of_text(path)


def _of_text(path: Path) -> Iterator[Row]:
    tables.check_content(path)
    text = tables.lines(path)
    before = 0
    for first in text:
        if not first.isspace():
            break
        before += 1
    else:
        return iter(())
    delimiter = next((mark for mark in "\t," if _is_header(first.split(mark))), None)
    whole = chain(["\n"] * before, [first], text)
    if delimiter and tables.form(path) not in TREC:
        return tables.separated(path, whole, delimiter)
    names = first.split() if _is_header(first.split()) else None
    if not names and tables.form(path) not in TREC and not _is_trec(first.split()):
        raise UserError(
            f"{path}:{before + 1}: the header query-id corpus-id score, tabs between, is missing; TREC's lines are "
            f"query 0 passage grade"
        )
    return _spaced(path, whole, names)


def of_rows(rows: Iterable[Row]) -> Iterator[Judgment]:
    """The judgments in the rows of a table; UserError names the row that is none."""
    columns: dict[str, str] = {}
    names: tuple[str, ...] = ()
    for row in rows:
        if (*row.values,) != names:
            names = (*row.values,)
            columns = records.matching(names, COLUMNS)
        if len(columns) < len(COLUMNS):
            lacks = ", ".join(part for part in COLUMNS if part not in columns)
            raise UserError(
                f"{row.where}: no column for the {lacks}; name them query-id, corpus-id and score (there are: "
                f"{', '.join(names)})"
            )
        query_id, doc_id = (records.id_of(row, columns[part]) for part in ("query", "passage"))
        yield query_id, doc_id, _grade(row, columns["grade"])


def _grade(row: Row, column: str) -> int:
    value = row.values[column]
    spelled = str(int(value)) if isinstance(value, bool) else str(value)
    if not re.fullmatch(r"\s*[+-]?\d{1,10}(\.0*)?\s*", spelled) or abs(int(float(spelled))) >= 2**31:
        raise UserError(f"{row.where}: the grade '{value}' is not a whole number")
    return int(float(spelled))


def _is_header(fields: list[str]) -> bool:
    return {"query", "passage"} <= {*records.matching((field.strip().strip('"') for field in fields), COLUMNS)}


def _is_trec(fields: list[str]) -> bool:
    return len(fields) == 4 and re.fullmatch(r"[+-]?\d+", fields[-1]) is not None


def _spaced(path: Path, text: Iterable[str], header: list[str] | None) -> Iterator[Row]:
    """Rows whose columns white space separates, under `header`, which is their first row, or as TREC has them."""
    names, seen = header or [*FIELDS], False
    for number, line in enumerate(text, 1):
        fields = line.split()
        if not fields or (header and not seen):
            seen = bool(fields) or seen
            continue
        if len(fields) != len(names):
            form = " ".join(header) if header else "query 0 passage grade"
            raise UserError(f"{path}:{number}: not a judgment; a line is {form}")
        yield Row(f"{path}:{number}", dict(zip(names, fields, strict=True)))
