"""What a reranker is given: some queries of a split, and for each the passages that a first stage found, unordered."""
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core import fingerprint
from stages.retrieval import runs
from stages.core.errors import UserError

PAIRS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string())])


def asked(query_ids: Iterable[str], count: int | None, seed: int) -> list[str]:
    """The queries of a split that every reranker works on, sorted by id: all of them, or `count` drawn by `seed`.

    The draw takes the queries whose id has the lowest sha256 beside the seed. So each query is as likely as any
    other, whatever its cluster, the order they come in does not matter, and a larger sample holds the smaller ones.
    """
    drawn = sorted(set(query_ids), key=lambda query: fingerprint.of_values(seed, query))
    return sorted(drawn[:count])


def first(parts: Iterable[pa.Table], asked: list[str], depth: int) -> pa.Table:
    """The `depth` passages that a run ranks first for each query asked: query_id, doc_id, sorted by both.

    The run comes in parts of whole queries, best first. Its order decides who is in, and then order and scores are
    gone. A query that the run leaves out has no row.
    """
    wanted = pa.array(asked, pa.string())
    kept = [PAIRS.empty_table()]
    for part in parts:
        part = part.select(PAIRS.names).filter(pc.is_in(part["query_id"], value_set=wanted))
        kept.append(part.filter(pa.array(_ranks(part["query_id"]) < depth)))
    return pa.concat_tables(kept).sort_by([(name, "ascending") for name in PAIRS.names])


def beyond(parts: Iterable[pa.Table], asked: list[str], depth: int) -> pa.Table:
    """What a run ranks below `depth` for the queries asked, in its order: query_id, doc_id."""
    wanted = pa.array(asked, pa.string())
    kept = [pa.table([[], []], schema=pa.schema([("query_id", pa.string()), ("doc_id", pa.string())]))]
    for part in parts:
        part = part.select(["query_id", "doc_id"]).filter(pc.is_in(part["query_id"], value_set=wanted))
        kept.append(part.filter(pa.array(_ranks(part["query_id"]) >= depth)))
    return pa.concat_tables(kept)


def followed_by(run: pa.Table, rest: pa.Table) -> pa.Table:
    """A run of whole queries with, below each query's own passages, those of `rest` in their order.

    Their scores fall by one a rank from the query's lowest, so that every program keeps the order.
    """
    rest = rest.filter(pc.is_in(rest["query_id"], value_set=run["query_id"].unique()))
    if not len(rest):
        return run
    lowest = run.group_by("query_id").aggregate([("score", "min")])
    at = pc.index_in(rest["query_id"], value_set=lowest["query_id"].combine_chunks())
    scores = lowest["score_min"].take(at).to_numpy() - 1 - _ranks(rest["query_id"])
    both = pa.concat_tables([run, rest.append_column("score", pa.array(scores, pa.float32())).cast(runs.RUN)])
    query = both["query_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return both.take(pa.array(np.argsort(query, kind="stable")))


def passages(docs: Path, doc_ids: pa.ChunkedArray) -> pa.Table:
    """doc_id and text of the passages named, each once, in the corpus's order; other texts are not kept.

    Raises UserError naming a passage that the corpus does not have.
    """
    file = pq.ParquetFile(docs, memory_map=True)
    numbers = file.read(["doc_id"])["doc_id"].combine_chunks()
    wanted = pc.is_in(numbers, value_set=doc_ids.unique())
    found, start = [], 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        mask = wanted.slice(start, rows)
        start += rows
        if pc.any(mask).as_py():
            texts = file.read_row_group(group, ["text"])["text"].filter(mask)
            found.append(texts.cast(pa.large_string()))
    kept = numbers.filter(wanted)
    absent = pc.index(pc.is_in(doc_ids, value_set=kept), False).as_py()
    if absent >= 0:
        raise UserError(f"{docs}: has no passage '{doc_ids[absent]}', which the first stage's run ranks; is it another "
                      f"corpus's run?")
    text = pa.chunked_array([chunk for texts in found for chunk in texts.chunks], pa.large_string())
    return pa.table({"doc_id": kept, "text": text.combine_chunks()})


def blocks(pairs: pa.Table, size: int) -> Iterator[pa.Table]:
    """The pairs in blocks of whole queries, at most `size` pairs each (or one query alone); query_id is sorted."""
    start = stop = 0
    for count in pc.value_counts(pairs["query_id"]).field("counts").to_pylist():
        if start < stop and stop + count - start > size:
            yield pairs.slice(start, stop - start)
            start = stop
        stop += count
    if start < stop:
        yield pairs.slice(start, stop - start)


def best_first(pairs: pa.Table, scores: np.ndarray, numbers: np.ndarray) -> pa.Table:
    """A run of the pairs: queries as they stand, higher score first, among equals the lower document number first.

    scores and numbers have one entry a pair; numbers order the passages as the corpus does.
    """
    query = pairs["query_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.lexsort((numbers, -scores, query))
    found = pairs.select(PAIRS.names).append_column("score", pa.array(scores, pa.float32()))
    return found.take(pa.array(order)).cast(runs.RUN)


def _ranks(query_ids: pa.ChunkedArray) -> np.ndarray:
    """How many rows of the same query stand before each row."""
    query = query_ids.combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(query, kind="stable")
    starts = np.searchsorted(query[order], query[order])
    ranks = np.empty(len(query), dtype=np.int64)
    ranks[order] = np.arange(len(query)) - starts
    return ranks
