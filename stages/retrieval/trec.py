"""TREC files: reads published runs; writes runs, whose scores fall at every rank, and judgments for other programs.

Qrels are read by collections/judgments.py.
"""

import gzip
import math
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError
from stages.retrieval import ranking, runs

LARGEST = np.float32(2.0**127)


def read(path: Path) -> pa.Table:
    """The run (runs.RUN) of a TREC file, plain or .gz, in the order in which trec_eval judges it (see `ranking`).

    The ranks in the file are not read, and scores are as float32 has them. Raises UserError, with file and line, for a
    file that is missing, cut or empty, for a line that is not `query Q0 passage rank score tag`, for a score that is no
    number, for a NUL in an id, and for a passage that a query has twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such run file")
    try:
        lines, query_ids, doc_ids, scores = map(list, zip(*_rows(path)))
    except (EOFError, OSError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read whole ({error}); fetch it again")
    except ValueError:
        raise UserError(f"{path}: the run is empty")
    queries, passages = pa.array(query_ids, pa.string()), pa.array(doc_ids, pa.string())
    numbers = pc.rank(queries, tiebreaker="dense").to_numpy()
    _check_once(path, lines, numbers, passages)
    order = pa.array(ranking.order(np.array(scores), ranking.places(passages), numbers))
    with np.errstate(over="ignore"):
        rounded = np.array(scores).astype(np.float32)
    return pa.table([queries, passages, pa.array(rounded)], schema=runs.RUN).take(order)


def check(path: Path) -> None:
    """Raise UserError for what `read` cannot read."""
    read(path)


def overlap(run: pa.Table, doc_ids: pa.Array, query_ids: pa.Array) -> str:
    """What a run has in common with the passages of a corpus and the queries of a split, in a sentence.

    Raises UserError where that is nothing.
    """
    asked, ranked = pc.unique(run["query_id"]), pc.unique(run["doc_id"])
    for kind, own, known in (("query", asked, query_ids), ("passage", ranked, doc_ids)):
        if not pc.any(pc.is_in(own, value_set=known)).as_py():
            first = f"; there they are called '{known[0]}' and the like" if len(known) else ""
            raise UserError(f"no {kind} of the run is known there, '{own[0]}' is not{first}: is it another corpus's?")

    def unknown(own: pa.Array, known: pa.Array) -> int:
        return len(own) - pc.sum(pc.is_in(own, value_set=known)).as_py()

    return (
        f"{len(asked)} queries, {unknown(asked, query_ids)} of them not in the split; {len(ranked)} passages, "
        f"{unknown(ranked, doc_ids)} of them not in the corpus; {unknown(query_ids, asked)} of the split's "
        f"{len(query_ids)} queries have no ranking"
    )


def _rows(path: Path) -> Iterator[tuple[int, str, str, float]]:
    """Line number, query_id, doc_id and score of each line; columns are separated as trec_eval has it, by ASCII."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.encode().split()
            if not fields:
                continue
            try:
                query_id, _, doc_id, _, score, *_ = fields
                value = float(score.replace(b"_", b"?"))
            except ValueError:
                raise UserError(f"{path}:{number}: not a TREC run line (query Q0 passage rank score tag)")
            if math.isnan(value):
                raise UserError(f"{path}:{number}: the score {score.decode()} is no number, and gives no order")
            if b"\0" in query_id + doc_id:
                raise UserError(
                    f"{path}:{number}: an id holds a NUL character, at which other programs cut it; rename it"
                )
            yield number, query_id.decode(), doc_id.decode(), value


def _check_once(path: Path, lines: list[int], queries: np.ndarray, passages: pa.Array) -> None:
    """Raise UserError where a query has a passage twice."""
    pairs = queries.astype(np.int64) * len(passages) + passages.dictionary_encode().indices.to_numpy()
    order = np.argsort(pairs, kind="stable")
    again = order[1:][pairs[order][1:] == pairs[order][:-1]]
    if len(again):
        line = lines[again.min()]
        raise UserError(f"{path}:{line}: a passage appears twice for one query, '{passages[again.min()]}'")


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

    A step is the smallest that float32 knows, about 6e-8 of the score. Nine digits tell all of them apart. Scores are
    first brought within half of float32's range, so that there are steps below infinite ones too.
    """
    kept: list[np.float32] = []
    for score in np.clip(np.asarray(list(scores), dtype=np.float32), -LARGEST, LARGEST):
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
