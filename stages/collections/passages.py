"""Passages by id: their texts, and their row numbers, read from a collection without holding the rest of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core.errors import UserError


def select(docs: Path, doc_ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """doc_id and text (large_string) of the passages named, each once, in the corpus's order.

    An id that the corpus does not have is left out. The texts of one row group are in memory along with those selected.
    """
    file = pq.ParquetFile(docs, memory_map=True)
    every_id = file.read(["doc_id"])["doc_id"].combine_chunks()
    wanted = pc.is_in(every_id, value_set=doc_ids.unique())
    parts, start = [pa.chunked_array([], pa.large_string())], 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        mask = wanted.slice(start, rows)
        start += rows
        if pc.any(mask).as_py():
            parts.append(file.read_row_group(group, ["text"])["text"].filter(mask).cast(pa.large_string()))
    text = pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.large_string())
    return pa.table({"doc_id": every_id.filter(wanted), "text": text.combine_chunks()})


def texts(docs: Path, doc_ids: pa.Array | pa.ChunkedArray) -> dict[str, str]:
    """doc_id -> text of the passages named; an id that the corpus does not have is left out."""
    selected = select(docs, doc_ids)
    return dict(zip(selected["doc_id"].to_pylist(), selected["text"].to_pylist(), strict=True))


def row_numbers(path: Path, ids: pa.ChunkedArray) -> np.ndarray:
    """The row number (n,) of each id in the first column of docs.parquet or topics/<split>.parquet.

    Raises UserError naming an id that the file does not have.
    """
    wanted = ids.unique()
    rows = np.full(len(wanted), -1)
    start = 0
    file = pq.ParquetFile(path, memory_map=True)
    for batch in file.iter_batches(100_000, columns=[file.schema_arrow.names[0]]):
        at = pc.index_in(batch.column(0), value_set=wanted)
        rows[at.drop_null().to_numpy()] = start + np.flatnonzero(at.is_valid())
        start += len(batch)
    if (rows < 0).any():
        raise UserError(
            f"{path}: has no '{wanted[int(rows.argmin())]}', from an older or another corpus; run dvc repro"
        )
    return rows[pc.index_in(ids, value_set=wanted).to_numpy()]
