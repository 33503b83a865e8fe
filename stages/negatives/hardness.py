"""What the negatives of a draw of triplets are: how hard, how often a false negative, and from which ranks.

A draw is a table as stages.triplets writes it: query_id, positive_id, negative_id, rank (0: drawn from no ranking),
anchor, positive, negative. Nothing here relies on how it was drawn: what must not occur is counted all the same.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections.near_duplicates import shingles
from stages.negatives.histograms import GapHistogram, RankHistogram

JACCARD = 0.7  # from here on two texts are near duplicates
BLOCK = 65_536  # triplets whose vectors are in memory at once


@dataclass(frozen=True)
class Figures:
    """A draw in numbers, or the mean of several: how many of what, and shares of its triplets between 0 and 1.

    mean_gap is the mean score gap and above_positive the share of negatives that score above their positive; both are
    None where there are no vectors to score with.
    """

    triplets: float
    queries: float
    negatives: float
    most_used_negative: float
    mean_gap: float | None
    above_positive: float | None
    near_duplicates: float
    relevant_to_own_query: float
    relevant_to_judged_query: float
    relevant_to_training_query: float


@dataclass(frozen=True)
class Audit:
    """A block of triplets: mean figures of its draws, one for each seed; ranks and gaps are of all draws together."""

    seeds: int
    figures: Figures
    ranks: RankHistogram
    gaps: GapHistogram | None


def figures(draw: pa.Table, qrels: pa.Table, judged: list[str], gaps: np.ndarray | None) -> Figures:
    """The figures of one draw.

    qrels has query_id, doc_id, grade and the split each judgment belongs to; `judged` names the splits that are
    measured, all others are for training. gaps are those of `score_gaps`, or None.
    """
    measured = pc.is_in(qrels["split"], value_set=pa.array(judged, pa.string()))
    _, by_judged = relevant(draw, qrels.filter(measured))
    _, by_training = relevant(draw, qrels.filter(pc.invert(measured)))
    own, _ = relevant(draw, qrels)
    uses = pc.value_counts(draw["negative_id"]).field("counts")
    return Figures(
        triplets=len(draw),
        queries=pc.count_distinct(draw["query_id"]).as_py(),
        negatives=len(uses),
        most_used_negative=pc.max(uses).as_py(),
        mean_gap=None if gaps is None else float(gaps.mean()),
        above_positive=None if gaps is None else float((gaps < 0).mean()),
        near_duplicates=float(near_duplicates(draw).mean()),
        relevant_to_own_query=float(own.mean()),
        relevant_to_judged_query=float(by_judged.mean()),
        relevant_to_training_query=float(by_training.mean()),
    )


def relevant(draw: pa.Table, qrels: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Whether each negative is relevant (grade >= 1) to its own query, and to any other one: two (n,) of booleans."""
    known = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    queries = _codes(draw["query_id"], known["query_id"])
    passages = _codes(draw["negative_id"], known["doc_id"])
    width = passages.max() + 1
    drawn, judged = np.split(queries * width + passages, [len(draw)])
    judged = np.unique(judged)
    own = np.isin(drawn, judged)
    asking = np.bincount(judged % width, minlength=width)[passages[: len(draw)]]
    return own, asking > own


def near_duplicates(draw: pa.Table) -> np.ndarray:
    """Whether each negative repeats a positive that the draw has for the same query: (n,) of booleans.

    It does from a Jaccard index of 0.7 between the sets of 5-word shingles (Broder 1997).
    """
    queries = _codes(draw["query_id"])
    order = np.argsort(queries, kind="stable")
    repeats = np.zeros(len(draw), bool)
    for rows in np.split(order, np.flatnonzero(np.diff(queries[order])) + 1):
        positives = [shingles(text) for text in {draw["positive"][row].as_py() for row in rows}]
        for row in rows:
            negative = shingles(draw["negative"][row].as_py())
            repeats[row] = any(len(negative & text) >= JACCARD * len(negative | text) for text in positives)
    return repeats


def score_gaps(queries: np.ndarray, passages: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How far each positive scores above its negative, query . positive - query . negative: (n,), below 0 where not.

    queries and passages are unit vectors (any, d), in memory or mapped; rows (n, 3) are the row numbers of a triplet's
    query, positive and negative in them.
    """
    gaps = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        query, positive, negative = rows[start : start + BLOCK].T
        difference = passages[positive].astype(np.float64) - passages[negative]
        gaps[start : start + BLOCK] = np.einsum("ij,ij->i", queries[query].astype(np.float64), difference)
    return gaps


def mean(draws: Sequence[Figures]) -> Figures:
    """The figures of several draws as one: the mean of each, None where a draw has none; 6 digits."""

    def of(name: str) -> Any:
        values = [getattr(draw, name) for draw in draws]
        return None if None in values else round(statistics.mean(values), 6)

    return Figures(**{field.name: of(field.name) for field in fields(Figures)})


def as_json(audits: Mapping[str, Audit]) -> dict[str, Any]:
    """Block -> its audit, as `read` reads it."""
    return {
        block: {
            "seeds": audit.seeds,
            **asdict(audit.figures),
            "ranks": asdict(audit.ranks),
            "gaps": None if audit.gaps is None else asdict(audit.gaps),
        }
        for block, audit in audits.items()
    }


def read(path: Path) -> dict[str, Audit]:
    """Block -> its audit, from the file that stages.audit writes."""
    return {block: _audit(**stored) for block, stored in json.loads(path.read_text()).items()}


def _audit(seeds: int, ranks: dict[str, Any], gaps: dict[str, Any] | None, **stored: float) -> Audit:
    window = ranks["window"] and tuple(ranks["window"])
    histogram = RankHistogram(**{**ranks, "window": window})
    return Audit(seeds, Figures(**stored), histogram, None if gaps is None else GapHistogram(**gaps))


def _codes(*columns: pa.ChunkedArray) -> np.ndarray:
    """The columns one after the other as (n,) whole numbers: equal values, equal numbers."""
    values = pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)
    return values.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
