"""A run: for each query its passages, best first, as parquet."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LINE = 16  # bytes of a passage in a file of a run: 8 with ids of 7 digits, 15 with titles for ids
RUN = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float32())])


def table(query_ids: list[str], doc_ids: pa.Array, scores: np.ndarray, rows: np.ndarray) -> pa.Table:
    """A run (RUN) from scores and row numbers of passages, both (queries, depth), best first.

    doc_ids (passages,) are the ids by row number; a row number of -1 is left out.
    """
    kept = rows.ravel() >= 0
    queries = pa.array(query_ids, pa.string()).take(pa.array(np.repeat(np.arange(len(rows)), rows.shape[1])[kept]))
    return pa.table([queries, doc_ids.take(pa.array(rows.ravel()[kept])), pa.array(scores.ravel()[kept])], schema=RUN)


def write(parts: Iterable[pa.Table], path: Path) -> int:
    """Write a run part by part; returns how many queries it has. A run of no lines is a file all the same."""
    queries = 0
    with pq.ParquetWriter(path, RUN, compression="zstd") as writer:
        for part in parts:
            if len(part):
                writer.write_table(part, row_group_size=len(part))
                queries += len(part["query_id"].unique())
    return queries


def read(path: Path) -> Iterator[pa.Table]:
    """The parts that a run was written in, none of them empty; a query is whole in one of them."""
    file = pq.ParquetFile(path, memory_map=True)
    return (file.read_row_group(group) for group in range(file.num_row_groups))


def side_by_side(paths: Sequence[Path], queries: int) -> Iterator[list[pa.Table]]:
    """Several runs in parts of the same `queries` queries, in the order in which the runs have them: a table a run."""
    files = [pq.ParquetFile(path, memory_map=True) for path in paths]
    asked = [[pc.unique(_group(file, at)["query_id"]) for at in range(file.num_row_groups)] for file in files]
    order = pa.chunked_array([ids for groups in asked for ids in groups], pa.string()).unique()
    places = [[pc.index_in(ids, value_set=order).to_numpy() for ids in groups] for groups in asked]
    for start in range(0, len(order), queries):
        wanted = order.slice(start, queries)
        yield [
            pa.concat_tables([RUN.empty_table(), *_named(file, groups, start, wanted)])
            for file, groups in zip(files, places, strict=True)
        ]


def _group(file: pq.ParquetFile, at: int) -> pa.Table:
    return file.read_row_group(at, ["query_id"])


def _named(file: pq.ParquetFile, places: list[np.ndarray], start: int, wanted: pa.Array) -> Iterator[pa.Table]:
    """The rows of a run that are of the wanted queries, which are those from place `start` on."""
    for at, own in enumerate(places):
        if ((own >= start) & (own < start + len(wanted))).any():
            part = file.read_row_group(at)
            yield part.filter(pc.is_in(part["query_id"], value_set=wanted))


def without_self(run: pa.Table) -> pa.Table:
    """A run without the passages that have their query's id."""
    return run.filter(pc.not_equal(run["query_id"], run["doc_id"]))


def first(run: pa.Table, depth: int) -> pa.Table:
    """The first `depth` passages of each query."""
    return run.filter(pa.array(ranks_in_query(run["query_id"]) <= depth))


def ranks_in_query(query_ids: pa.ChunkedArray) -> np.ndarray:
    """The rank (n,) of each row among the rows of its query, from 1, in their order."""
    query = query_ids.combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(query, kind="stable")
    starts = np.searchsorted(query[order], query[order])
    ranks = np.empty(len(query), dtype=np.int64)
    ranks[order] = np.arange(len(query)) - starts + 1
    return ranks
