"""Numerical checks of a run: what the order of equal scores, and scores in half precision, could change in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Scores of unit vectors move by at most 2^-10 when the factors are rounded to float16, and 2^-11 when the sum is. What
# is further below another score than twice both stays below it.
REACH = 0.004


class Ranking(NamedTuple):
    """The scores (n,) of one query's passages, highest first, and which are relevant, boolean (n,)."""

    scores: np.ndarray
    relevant: np.ndarray


def reciprocal_rank(relevant: np.ndarray, depth: int) -> float:
    """1 / rank of the first relevant passage, 0 where none is among the first `depth`."""
    first = np.flatnonzero(relevant[:depth])
    return float(1 / (first[0] + 1)) if len(first) else 0.0


def reciprocal_rank_bounds(scores: np.ndarray, relevant: np.ndarray, depth: int) -> tuple[float, float]:
    """The worst and the best RR@depth that any order of equal scores gives."""
    if not relevant.any():
        return 0.0, 0.0
    first = scores[np.flatnonzero(relevant)[0]]
    above = int((scores > first).sum())
    level = int(((scores == first) & ~relevant).sum())
    worst, best = (1 / (before + 1) if before < depth else 0.0 for before in (above + level, above))
    return worst, best


def tied_at_cutoff(scores: np.ndarray, depth: int) -> bool:
    """Whether the score at rank `depth` is also that of the next rank, so that the tie rule chooses who is in."""
    return len(scores) > depth and bool(scores[depth - 1] == scores[depth])


def half(queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Inner products (q, n) of queries (q, d) and passages (n, d) as half precision with a wide accumulator gives them.

    Vectors are rounded to float16; their products, exact in float32, are added up and rounded to float32 once, so that
    no order of addition shows (a device that adds in float32 may differ from it in the last bit); that is rounded to
    float16. Returned as float32.
    """
    queries, passages = (side.astype(np.float16).astype(np.float64) for side in (queries, passages))
    return (queries @ passages.T).astype(np.float32).astype(np.float16).astype(np.float32)


def within_reach(scores: np.ndarray, depth: int, length: float = 1.0) -> int:
    """How many of a ranking's passages, from the first, half precision could bring or tie into its first `depth`.

    `length` is the product of the lengths of the query's vector and of the longest passage's: what scores are rounded
    by grows with it.
    """
    return int((scores >= scores[:depth][-1] - REACH * length).sum())


def order(scores: np.ndarray) -> np.ndarray:
    """Positions (n,) of the scores, highest first; equal ones stay in the order they are in."""
    return np.argsort(-scores, kind="stable")


def reordered(scores: np.ndarray, depth: int) -> bool:
    """Whether new scores (n,) of a ranking, in its old order, put other passages in its first `depth` ranks."""
    return bool((order(scores)[:depth] != np.arange(min(depth, len(scores)))).any())


def of_ties(rankings: Sequence[Ranking], depth: int, queries: int) -> dict[str, float]:
    """Mean RR@depth in the run's own order and its bounds, and how many rankings are tied at the cut-off.

    Means are over `queries`: one without a ranking has 0.
    """
    own = sum(reciprocal_rank(ranking.relevant, depth) for ranking in rankings) / queries
    return {
        f"RR@{depth}": own,
        **_mean_bounds(rankings, depth, queries),
        f"tied_at_{depth}": sum(tied_at_cutoff(ranking.scores, depth) for ranking in rankings),
    }


def of_half_precision(rankings: Sequence[Ranking], depth: int, queries: int) -> dict[str, float]:
    """How many rankings change in their first `depth` ranks, and in RR@depth, when sorted by half-precision scores.

    Here a ranking's scores are those of `half`, in its old order. Last the bounds of mean RR@depth under them.
    """
    again = []
    for scores, relevant in rankings:
        best_first = order(scores)
        again.append(Ranking(scores[best_first], relevant[best_first]))
    changed = sum(
        reciprocal_rank(old.relevant, depth) != reciprocal_rank(new.relevant, depth)
        for old, new in zip(rankings, again, strict=True)
    )
    figures = {
        "reordered": sum(reordered(ranking.scores, depth) for ranking in rankings),
        f"RR@{depth}_changed": changed,
        **_mean_bounds(again, depth, queries),
    }
    return {f"fp16_{name}": value for name, value in figures.items()}


def _mean_bounds(rankings: Sequence[Ranking], depth: int, queries: int) -> dict[str, float]:
    bounds = [reciprocal_rank_bounds(*ranking, depth) for ranking in rankings]
    return {
        f"worst_RR@{depth}": sum(worst for worst, _ in bounds) / queries,
        f"best_RR@{depth}": sum(best for _, best in bounds) / queries,
    }
