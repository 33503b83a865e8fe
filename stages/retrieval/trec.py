"""TREC files for other programs: runs whose scores fall at every rank, and judgments."""
import gzip
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError


def run_text(parts: Iterable[pa.Table], tag: str) -> Iterator[str]:
    """Lines `query Q0 passage rank score tag` of a run that comes in parts of whole queries; one text a part.

    The order is the run's own and ranks count from 1. Scores are those of `falling`, so that trec_eval, which reads
    float32 and sorts equal scores by passage, keeps that order. Raises UserError for an id that the form cannot hold.
    """
    for part in parts:
        _check_ids(part)
        lines = zip(*(part[name].to_pylist() for name in ("query_id", "doc_id", "score")))
        text = []
        for query, ranked in groupby(lines, key=lambda line: line[0]):
            _, passages, scores = zip(*ranked)
            text += [f"{query} Q0 {passage} {rank} {score:.9g} {tag}\n"
                     for rank, (passage, score) in enumerate(zip(passages, falling(scores)), 1)]
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
    """Lines `query 0 passage grade` of judgments. Raises UserError for an id that the form cannot hold."""
    _check_ids(judgments)
    lines = zip(*(judgments[name].to_pylist() for name in ("query_id", "doc_id", "grade")))
    return "".join(f"{query} 0 {passage} {grade}\n" for query, passage, grade in lines)


def write(texts: Iterable[str], path: Path, packed: bool) -> None:
    """Texts one after the other as UTF-8, gzipped where `packed`: then without a name or a time, for equal bytes."""
    with open(path, "wb") as raw:
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if packed else nullcontext(raw) as handle:
            for text in texts:
                handle.write(text.encode())


def _check_ids(table: pa.Table) -> None:
    for column in ("query_id", "doc_id"):
        for name in pc.unique(table[column]).to_pylist():
            if name.split() != [name]:
                raise UserError(f"{column} {name!r}: is empty or holds white space, which separates the columns of a "
                              f"TREC file; rename it in the collection")
