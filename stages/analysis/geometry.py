"""The geometry of a space of vectors, how much of another space it keeps, and whether such figures go with a change."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from stages.core.rounding import rounded

ROUNDING = 6
FEWEST = 3
EXACT = 8

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over n variants, and its two-sided p; None where there is none."""

    rho: float | None
    p: float | None
    n: int


def effective_rank(vectors: np.ndarray) -> float:
    """RankMe (Garrido et al. 2023, arXiv 2210.02885): exp of the entropy of the singular values' shares.

    vectors are (n, d), not centred; between 1 (all on one line) and min(n, d) (all directions alike).
    """
    spread = np.linalg.svd(np.asarray(vectors, dtype=np.float64), compute_uv=False)
    shares = spread[spread > 0] / spread.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def uniformity(vectors: np.ndarray) -> float:
    """Log of the mean of exp(-2 |x - y|^2) over distinct pairs of unit vectors (n, d), n > 1 (Wang and Isola 2020).

    0 where all are equal; lower is more even.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    closeness = np.exp(4 * (vectors @ vectors.T) - 4)
    np.fill_diagonal(closeness, 0)
    return float(np.log(closeness.sum() / (len(vectors) * (len(vectors) - 1))))


def alignment(queries: np.ndarray, positives: np.ndarray) -> float:
    """Mean squared Euclidean distance of the pairs in two arrays (n, d) of unit vectors (Wang and Isola 2020)."""
    apart = np.asarray(queries, dtype=np.float64) - np.asarray(positives, dtype=np.float64)
    return float((apart**2).sum(axis=1).mean())


def neighbour_overlap(a: np.ndarray, b: np.ndarray, k: int) -> float:
    """Mean share of a vector's k nearest others by cosine that the spaces a (n, d) and b (n, e) have in common.

    Cosines are compared to 6 digits, so that equal texts are equals; the lower row comes first among them. A vector has
    n - 1 others, and k is at most that.
    """
    k = min(k, len(a) - 1)
    both = zip(_nearest(a, k), _nearest(b, k), strict=True)
    shared = [len(np.intersect1d(one, other, assume_unique=True)) for one, other in both]
    return float(np.mean(shared) / k)


def linear_cka(a: np.ndarray, b: np.ndarray) -> float | None:
    """Linear centred kernel alignment (Kornblith et al. 2019) of a (n, d) and b (n, e).

    1 for spaces that are equal up to a turn and a scale, 0 for unrelated ones; None where all vectors of one are equal,
    up to rounding.
    """
    one, other = _centred(a), _centred(b)
    if one is None or other is None:
        return None
    scale = np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    return float(np.linalg.norm(other.T @ one) ** 2 / scale)


def norms(vectors: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation (of these n, not of a population), least and largest length of vectors (n, d)."""
    lengths = np.linalg.norm(np.asarray(vectors, dtype=np.float64), axis=1)
    return {
        "mean": float(lengths.mean()),
        "sd": float(lengths.std()),
        "min": float(lengths.min()),
        "max": float(lengths.max()),
    }


def gaps(positive_scores: np.ndarray, best_negative_scores: np.ndarray) -> dict[str, float | None]:
    """Mean of positive minus best negative score, and the share of queries whose positive is above; both (n,).

    None where there are no queries.
    """
    gap = np.asarray(positive_scores, dtype=np.float64) - np.asarray(best_negative_scores, dtype=np.float64)
    if not len(gap):
        return {"mean_gap": None, "share_above": None}
    return {"mean_gap": float(gap.mean()), "share_above": float((gap > 0).mean())}


def figures(
    sample: np.ndarray, base: np.ndarray | None, queries: np.ndarray, positives: np.ndarray, k: int
) -> dict[str, float | None]:
    """A space on a sample of its vectors (n, d) and on pairs of queries and positives (m, d), all of length 1.

    What compares with base, the same sample in another space, is None without one; alignment is, without pairs.
    """
    return {
        "effective_rank": effective_rank(sample),
        "uniformity": uniformity(sample),
        "alignment": alignment(queries, positives) if len(queries) else None,
        "neighbour_overlap_to_base": None if base is None else neighbour_overlap(sample, base, k),
        "linear_cka_to_base": None if base is None else linear_cka(sample, base),
    }


def correlation(values: Sequence[float], changes: Sequence[float]) -> Correlation:
    """Spearman's rho of n values and their changes, and its two-sided p.

    Up to n = 8 p is exact, over all orders (scipy's permutation_test of pairings), else spearmanr's; it knows nothing
    of other figures tried next to this one. rho and p are None below n = 3 or where one side is constant.
    """
    from scipy.stats import permutation_test, rankdata, spearmanr

    x, y = (rankdata(side) - (len(side) + 1) / 2 for side in (values, changes))
    if len(x) < FEWEST or not x.any() or not y.any():
        return Correlation(None, None, len(x))
    rho = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    if len(x) > EXACT:
        return Correlation(rho, float(spearmanr(values, changes).pvalue), len(x))
    test = permutation_test(
        (x,),
        lambda ranks, axis: (ranks * y).sum(axis=axis),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=np.inf,
    )
    return Correlation(rho, float(test.pvalue), len(x))


def correlations(spaces: dict[str, Figures], changes: dict[str, float]) -> dict[str, Correlation]:
    """Figure -> its correlation with the change, over the variants that have both, to 6 digits.

    spaces is variant -> figure -> value (None where it has none), all variants with the same figures.
    """
    by_figure = {}
    for name in next(iter(spaces.values()), {}):
        both = [(figures[name], changes[variant]) for variant, figures in spaces.items() if variant in changes]
        known = [(value, change) for value, change in both if value is not None]
        correlated = correlation([value for value, _ in known], [change for _, change in known])
        by_figure[name] = Correlation(**rounded(asdict(correlated)))
    return by_figure


def _nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    """Row numbers (n, k) of each vector's nearest others."""
    vectors = np.asarray(vectors, dtype=np.float64)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.round(vectors @ vectors.T, ROUNDING)
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :k]


def _centred(vectors: np.ndarray) -> np.ndarray | None:
    vectors = np.asarray(vectors, dtype=np.float64)
    centred = vectors - vectors.mean(axis=0)
    return centred if np.linalg.norm(centred) > 10**-ROUNDING * np.linalg.norm(vectors) else None
