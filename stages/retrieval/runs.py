"""A run: for each query its passages best first, as parquet; read from and written to TREC files."""
import gzip
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import UserError

RUN = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float32())])


def table(query_ids: list[str], doc_ids: pa.Array, scores: np.ndarray, rows: np.ndarray) -> pa.Table:
    """A run from scores and document numbers, both (queries, depth), best first; a row number of -1 is left out."""
    kept = rows.ravel() >= 0
    queries = pa.array(query_ids, pa.string()).take(pa.array(np.repeat(np.arange(len(rows)), rows.shape[1])[kept]))
    return pa.table([queries, doc_ids.take(pa.array(rows.ravel()[kept])), pa.array(scores.ravel()[kept])], schema=RUN)


def write(parts: Iterable[pa.Table], path: Path) -> int:
    """Write a run part by part; returns how many queries it has. An empty run leaves no file."""
    queries = 0
    parts = iter(parts)
    first = next(parts, None)
    if first is None:
        return 0
    with pq.ParquetWriter(path, RUN, compression="zstd") as writer:
        for part in chain([first], parts):
            writer.write_table(part, row_group_size=max(1, len(part)))
            queries += len(part["query_id"].unique())
    return queries


def read(path: Path) -> Iterator[pa.Table]:
    """The parts that a run was written in; a query is whole in one of them."""
    file = pq.ParquetFile(path, memory_map=True)
    return (file.read_row_group(group) for group in range(file.num_row_groups))


def ranks_in_query(query_ids: pa.ChunkedArray) -> np.ndarray:
    """The rank (n,) of each row among the rows of its query, from 1, in the order that they stand in."""
    query = query_ids.combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(query, kind="stable")
    starts = np.searchsorted(query[order], query[order])
    ranks = np.empty(len(query), dtype=np.int64)
    ranks[order] = np.arange(len(query)) - starts + 1
    return ranks


def from_trec(path: Path) -> pa.Table:
    """A TREC run file (plain or .gz) in the order that trec_eval judges it: score down, then doc_id down.

    Raises UserError naming the line that is not `query Q0 passage rank score tag`, or a passage named twice for a query.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such run file")
    rows = []
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.split()
                if not fields:
                    continue
                try:
                    query_id, _, doc_id, _, score, *_ = fields
                    rows.append((query_id, doc_id, float(score)))
                except ValueError:
                    raise UserError(f"{path}:{number}: not a TREC run line (query Q0 passage rank score tag)")
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read whole ({error}); fetch it again")
    if not rows:
        raise UserError(f"{path}: the run is empty")
    rows.sort(key=lambda row: row[1], reverse=True)
    rows.sort(key=lambda row: (row[0], -row[2]))
    pairs = [row[:2] for row in rows]
    if len(set(pairs)) < len(pairs):
        raise UserError(f"{path}: a passage stands twice for one query")
    return pa.table(list(zip(*rows)), schema=RUN)


def to_trec(run: pa.Table, tag: str) -> str:
    """The run as TREC text, ranks counted from 1 within each query."""
    lines, rank, last = [], 0, None
    for query_id, doc_id, score in zip(*(run[name].to_pylist() for name in RUN.names)):
        rank, last = (rank + 1 if query_id == last else 1), query_id
        lines.append(f"{query_id} Q0 {doc_id} {rank} {score:.6f} {tag}\n")
    return "".join(lines)
