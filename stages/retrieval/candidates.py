"""What a reranker is given: some queries of a split, and for each the passages that a first stage ranks, unordered."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections import passages as by_id
from stages.core import fingerprint
from stages.core.errors import UserError
from stages.retrieval import ranking, runs

PAIRS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string())])


def sample(query_ids: Iterable[str], count: int | None, seed: int) -> list[str]:
    """The queries of a split that every reranker works on, sorted by id: all of them, or `count` drawn by `seed`.

    The draw takes the queries whose id has the lowest sha256 together with the seed. So each query is as likely as any
    other, whatever its cluster, the order they come in does not matter, and a larger sample holds the smaller ones.
    """
    drawn = sorted(set(query_ids), key=lambda query: fingerprint.of_values(seed, query))
    return sorted(drawn[:count])


def top(parts: Iterable[pa.Table], queries: list[str], depth: int) -> pa.Table:
    """The `depth` passages that a run ranks highest for each of the queries: PAIRS, sorted by query_id and doc_id.

    The run comes in parts of whole queries, best first. Its order decides who is in; order and scores are then
    dropped. A query that the run leaves out has no pair.
    """
    kept = [part.filter(pa.array(ranks <= depth)) for part, ranks in _ranked(parts, queries)]
    return pa.concat_tables([PAIRS.empty_table(), *kept]).sort_by([(name, "ascending") for name in PAIRS.names])


def below(parts: Iterable[pa.Table], queries: list[str], depth: int) -> pa.Table:
    """The passages (PAIRS) that a run ranks below `depth` for the queries, in its order."""
    kept = [part.filter(pa.array(ranks > depth)) for part, ranks in _ranked(parts, queries)]
    return pa.concat_tables([PAIRS.empty_table(), *kept])


def _ranked(parts: Iterable[pa.Table], queries: list[str]) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """The pairs of the queries in each part of a run, with their ranks from 1."""
    wanted = pa.array(queries, pa.string())
    for part in parts:
        pairs = part.select(PAIRS.names).filter(pc.is_in(part["query_id"], value_set=wanted))
        yield pairs, runs.ranks_in_query(pairs["query_id"])


def append(run: pa.Table, rest: pa.Table) -> pa.Table:
    """A run of whole queries with the passages of `rest` below each query's own, in their order.

    Their scores fall by one at each rank from the query's lowest, or by what float32 tells apart there where that is
    more, so that every program keeps the order.
    """
    rest = rest.filter(pc.is_in(rest["query_id"], value_set=run["query_id"].unique()))
    if not len(rest):
        return run
    lowest = run.group_by("query_id").aggregate([("score", "min")])
    at = pc.index_in(rest["query_id"], value_set=lowest["query_id"].combine_chunks())
    ranks = runs.ranks_in_query(rest["query_id"])
    from_here = lowest["score_min"].take(at).to_numpy()
    step = np.maximum(1, np.spacing(np.abs(4 * from_here)))
    scores = (from_here - step) - (ranks - 1) * step  # in this order: it decides the last bits
    both = pa.concat_tables([run, rest.append_column("score", pa.array(scores, pa.float32())).cast(runs.RUN)])
    return both.take(pa.array(np.argsort(_numbers(both["query_id"]), kind="stable")))


def passages(docs: Path, doc_ids: pa.ChunkedArray) -> pa.Table:
    """doc_id and text of the passages named, each once, in the corpus's order; other texts are not kept in memory.

    Raises UserError naming a passage that the corpus does not have.
    """
    selected = by_id.select(docs, doc_ids)
    absent = pc.index(pc.is_in(doc_ids, value_set=selected["doc_id"].combine_chunks()), False).as_py()
    if absent >= 0:
        passage = doc_ids[absent]
        raise UserError(f"{docs}: has no '{passage}', which the first stage's run ranks; is it another corpus's run?")
    return selected


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


def best_first(pairs: pa.Table, scores: np.ndarray, places: np.ndarray) -> pa.Table:
    """A run of the pairs: queries in their order, of each the passages in that of `ranking`.

    scores and places (pairs,) are each pair's score and the place of its passage's id, by ranking.places.
    """
    order = ranking.order(scores, places, _numbers(pairs["query_id"]))
    scored = pairs.select(PAIRS.names).append_column("score", pa.array(scores, pa.float32()))
    return scored.take(pa.array(order)).cast(runs.RUN)


def _numbers(query_ids: pa.ChunkedArray) -> np.ndarray:
    """For each row (n,) the number of its query, in the order in which queries come first."""
    return query_ids.combine_chunks().dictionary_encode().indices.to_numpy()
