"""TREC files: reads published runs; writes runs, whose scores fall at every rank, and judgments for other programs.

Qrels are read by collections/readers/beir.py.
"""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError
from stages.retrieval import runs


def read(path: Path) -> pa.Table:
    """The run (runs.RUN) of a TREC file, plain or .gz, in the order in which trec_eval judges it.

    That is higher score first, among equals the higher passage id. The ranks in the file are not read. Raises UserError
    for a file that is missing, cut or empty, for a line that is not `query Q0 passage rank score tag`, and for a
    passage that a query has twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such run file")
    try:
        rows = list(_rows(path))
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read whole ({error}); fetch it again")
    if not rows:
        raise UserError(f"{path}: the run is empty")
    rows.sort(key=lambda row: row[1], reverse=True)
    rows.sort(key=lambda row: (row[0], -row[2]))
    if len({(query_id, doc_id) for query_id, doc_id, _ in rows}) < len(rows):
        raise UserError(f"{path}: a passage appears twice for one query")
    return pa.table(list(zip(*rows, strict=True)), schema=runs.RUN)


def _rows(path: Path) -> Iterator[tuple[str, str, float]]:
    """query_id, doc_id and score of each line."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if not fields:
                continue
            try:
                query_id, _, doc_id, _, score, *_ = fields
                yield query_id, doc_id, float(score)
            except ValueError:
                raise UserError(f"{path}:{number}: not a TREC run line (query Q0 passage rank score tag)")


def run_text(parts: Iterable[pa.Table], tag: str) -> Iterator[str]:
    """Lines `query Q0 passage rank score tag` of a run that comes in parts of whole queries; one text a part.

    The order is the run's own and ranks count from 1. Scores are those of `falling`, so that trec_eval, which reads
    float32 and sorts equal scores by passage, keeps that order. Raises UserError for an id that the format cannot hold.
    """
    for part in parts:
        _check_ids(part)
        lines = zip(*(part[name].to_pylist() for name in runs.RUN.names), strict=True)
        text = []
        for query, ranked in groupby(lines, key=lambda line: line[0]):
            _, passages, scores = zip(*ranked, strict=True)
            text += [
                f"{query} Q0 {passage} {rank} {score:.9g} {tag}\n"
                for rank, (passage, score) in enumerate(zip(passages, falling(scores), strict=True), 1)
            ]
        yield "".join(text)


def falling(scores: Iterable[float]) -> list[np.float32]:
    """Scores of one query, best first, as float32; one that is not below the score before it is put one step below it.

    A step is the smallest that float32 knows, about 6e-8 of the score. Nine digits tell all of them apart.
    """
    kept: list[np.float32] = []
    for score in np.asarray(list(scores), dtype=np.float32):
        kept.append(np.nextafter(kept[-1], np.float32(-np.inf)) if kept and not score < kept[-1] else score)
    return kept


def qrels_text(judgments: pa.Table) -> str:
    """Lines `query 0 passage grade` of judgments. Raises UserError for an id that the format cannot hold."""
    _check_ids(judgments)
    lines = zip(*(judgments[name].to_pylist() for name in ("query_id", "doc_id", "grade")), strict=True)
    return "".join(f"{query} 0 {passage} {grade}\n" for query, passage, grade in lines)


def write(texts: Iterable[str], path: Path, packed: bool) -> None:
    """Texts one after the other as UTF-8, gzipped where `packed`: then without a name or a time, for equal bytes."""
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if packed else nullcontext(raw) as file:
        for text in texts:
            file.write(text.encode())


def _check_ids(table: pa.Table) -> None:
    for column in ("query_id", "doc_id"):
        for name in pc.unique(table[column]).to_pylist():
            if name.split() != [name]:
                raise UserError(
                    f"{column} {name!r}: is empty or holds white space, which separates the columns of a "
                    f"TREC file; rename it in the collection"
                )
