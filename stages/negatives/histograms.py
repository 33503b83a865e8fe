"""From which ranks negatives were drawn, and how far positives score above them: counts in bins."""

from dataclasses import dataclass

import numpy as np

EXACT = 20  # a window of at most so many ranks has one bin a rank,
BINS = 10  # a wider one this many
STEP = 0.05  # width of a bin of score gaps


@dataclass(frozen=True)
class RankHistogram:
    """The ranks that negatives were drawn at; counts[i] are ranks from edges[i] to below edges[i + 1].

    window is the first and last rank that were asked for; a rank outside it is in no bin but in min or max. Without a
    window there is no ranking: distinct is 0 and the rest None or empty. commonest_share is between 0 and 1.
    """

    window: tuple[int, int] | None
    distinct: int
    min: int | None
    max: int | None
    median: float | None
    commonest: int | None
    commonest_share: float | None
    edges: list[int]
    counts: list[int]


@dataclass(frozen=True)
class GapHistogram:
    """Score gaps, query . positive - query . negative: counts[i] from edges[i] to below edges[i + 1]; an edge is 0."""

    edges: list[float]
    counts: list[int]


def of_ranks(ranks: np.ndarray, window: tuple[int, int] | None) -> RankHistogram:
    """The histogram of ranks (n,): ten bins, equally wide up to one rank, or one for each rank in a window of 20."""
    if window is None:
        return RankHistogram(None, 0, None, None, None, None, None, [], [])
    first, last = window
    width = last - first + 1
    bins = width if width <= EXACT else BINS
    edges = [first + width * number // bins for number in range(bins + 1)]
    in_window = ranks[(ranks >= first) & (ranks <= last)]
    values, uses = np.unique(ranks, return_counts=True)
    return RankHistogram(
        window=(first, last),
        distinct=len(values),
        min=int(values[0]),
        max=int(values[-1]),
        median=float(np.median(ranks)),
        commonest=int(values[uses.argmax()]),
        commonest_share=round(float(uses.max() / len(ranks)), 6),
        edges=edges,
        counts=np.histogram(in_window, edges)[0].tolist(),
    )


def of_gaps(gaps: np.ndarray) -> GapHistogram:
    """The histogram of score gaps (n,), in bins of 0.05."""
    bins = np.floor(gaps / STEP).astype(int)
    first = bins.min()
    counts = np.bincount(bins - first)
    edges = [round(float(STEP * (first + number)), 2) for number in range(len(counts) + 1)]
    return GapHistogram(edges, counts.tolist())
