"""Measures of a run by ir_measures, query by query, with graded judgments and one tie rule: the run's own order."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ROWS = 200_000


def per_query(parts: Iterable[pa.Table], qrels: pa.Table, measures: list[str], rel: int) -> dict[str, dict[str, float]]:
    """measure -> query_id -> value, for every judged query; a query that the run leaves out gets 0.

    The run comes in parts that each hold whole queries. `rel` is the lowest grade that counts as relevant in measures
    that need one (not nDCG), unless a measure names its own. The providers of ir_measures break ties of score in
    opposite orders, so they are handed scores made from ranks.
    """
    import ir_measures

    named: dict[Any, list[str]] = {}
    for name in measures:
        named.setdefault(_with_threshold(ir_measures.parse_measure(name), rel), []).append(name)
    depths: dict[int | None, list[Any]] = {}  # the providers sort what they are given: no more than a measure reads
    for measure in named:
        depths.setdefault(measure.params.get("cutoff"), []).append(measure)
    judged: dict[str, dict[str, int]] = {}
    for query, passage, grade in zip(
        *(qrels[name].to_pylist() for name in ("query_id", "doc_id", "grade")), strict=True
    ):
        judged.setdefault(query, {})[passage] = grade
    values = {name: dict.fromkeys(judged, 0.0) for name in measures}
    for part in _small(parts):
        ranked = _ranked(part, judged)
        of_ranked = {query: judged[query] for query in ranked}
        for depth, read in depths.items():
            first = {query: dict(islice(scores.items(), depth)) for query, scores in ranked.items()}
            for metric in ir_measures.iter_calc(read, of_ranked, first):
                for name in named[metric.measure]:
                    values[name][metric.query_id] = metric.value
    return values


def _small(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The parts cut into whole queries of at most ROWS rows, or one query: the providers read Python's objects."""
    for part in parts:
        start = stop = 0
        for end in pc.run_end_encode(part["query_id"].combine_chunks()).run_ends.to_pylist():
            if start < stop and end - start > ROWS:
                yield part.slice(start, stop - start)
                start = stop
            stop = end
        yield part.slice(start)


def _with_threshold(measure: Any, rel: int) -> Any:
    return measure(rel=rel) if "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params else measure


def _ranked(run: pa.Table, judged: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
    """query -> passage -> a score that falls by one with each rank, in the order of ranks."""
    queries, passages = run["query_id"].combine_chunks(), run["doc_id"].to_pylist()
    lengths = pc.run_end_encode(queries)
    ranked, begin = {}, 0
    for query, end in zip(lengths.values.to_pylist(), lengths.run_ends.to_pylist(), strict=True):
        if query in judged:
            ranked[query] = dict(zip(passages[begin:end], map(float, range(0, begin - end, -1)), strict=True))
        begin = end
    return ranked
