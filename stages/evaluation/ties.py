"""What the order of equal scores, and scores in half precision, could change in a ranking.

A ranking is its scores (n,), highest first, and what is relevant in it, boolean (n,).
"""

from collections.abc import Collection

import numpy as np

Ranking = tuple[np.ndarray, np.ndarray]

# Scores of unit vectors move by at most 2^-10 when the factors are rounded to float16, and 2^-11 when the sum is. What
# is further below another score than twice both stays below it.
REACH = 0.004


def reciprocal_rank(relevant: np.ndarray, depth: int) -> float:
    """1 / rank of the first relevant passage, 0 where none is among the first `depth`."""
    first = np.flatnonzero(relevant[:depth])
    return float(1 / (first[0] + 1)) if len(first) else 0.0


def reciprocal_rank_bounds(scores: np.ndarray, relevant: np.ndarray, depth: int) -> tuple[float, float]:
    """The worst and the best RR@depth that any order of equal scores gives."""
    places = np.flatnonzero(relevant)
    if not len(places):
        return 0.0, 0.0
    best = int((scores > scores[places[0]]).sum())
    worst = best + int(((scores == scores[places[0]]) & ~relevant).sum())
    return _of_rank(worst, depth), _of_rank(best, depth)


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


def within_reach(scores: np.ndarray, depth: int) -> int:
    """How many of a ranking's passages, from the first, half precision could bring or tie into its first `depth`."""
    return int((scores >= scores[:depth][-1] - REACH).sum())


def order(scores: np.ndarray) -> np.ndarray:
    """Places (n,) of the scores, highest first; equals stay in the order they are in."""
    return np.argsort(-scores, kind="stable")


def reordered(scores: np.ndarray, depth: int) -> bool:
    """Whether new scores (n,) of a ranking, in its old order, put other passages in its first `depth` places."""
    return bool((order(scores)[:depth] != np.arange(min(depth, len(scores)))).any())


def figures(rankings: Collection[Ranking], depth: int, queries: int) -> dict[str, float]:
    """Mean RR@depth in the run's own order and its bounds, and how many rankings are tied at the cut-off.

    Means are over `queries`: one without a ranking has 0.
    """
    own = sum(reciprocal_rank(relevant, depth) for _, relevant in rankings) / queries
    return {
        f"RR@{depth}": own,
        **_mean_bounds(rankings, depth, queries),
        f"tied_at_{depth}": sum(tied_at_cutoff(scores, depth) for scores, _ in rankings),
    }


def half_figures(rankings: Collection[Ranking], depth: int, queries: int) -> dict[str, float]:
    """How many rankings change in their first `depth` places, and in RR@depth, when sorted by half-precision scores.

    Here a ranking's scores are those of `half`, in its old order. Last the bounds of mean RR@depth under them.
    """
    again = [(scores[order(scores)], relevant[order(scores)]) for scores, relevant in rankings]
    changed = sum(
        reciprocal_rank(old, depth) != reciprocal_rank(new, depth) for (_, old), (_, new) in zip(rankings, again, strict=True)
    )
    found = {
        "reordered": sum(reordered(scores, depth) for scores, _ in rankings),
        f"RR@{depth}_changed": changed,
        **_mean_bounds(again, depth, queries),
    }
    return {f"fp16_{name}": value for name, value in found.items()}


def _mean_bounds(rankings: Collection[Ranking], depth: int, queries: int) -> dict[str, float]:
    bounds = [reciprocal_rank_bounds(*ranking, depth) for ranking in rankings]
    return {
        f"worst_RR@{depth}": sum(worst for worst, _ in bounds) / queries,
        f"best_RR@{depth}": sum(best for _, best in bounds) / queries,
    }
