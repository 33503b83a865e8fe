"""A variant against the base, query by query: the mean difference and how far it could be chance."""
import numpy as np


def change(variant: np.ndarray, base: np.ndarray, clusters: np.ndarray, resamples: int = 2000) -> dict:
    """Mean difference of two aligned vectors of per-query values, with a 95 % interval over clusters of queries.

    Queries that share a cluster are resampled together: scipy's percentile bootstrap of sum(differences) / sum(sizes)
    over clusters, seeded. detectable is 2.8 standard errors, what a two-sided 5 % test finds 4 times in 5 (Cohen
    1988). In the measure's own unit; no width and None where there are fewer than two clusters.
    """
    from scipy.stats import bootstrap
    difference = np.asarray(variant, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    labels, which = np.unique(clusters, return_inverse=True)
    sums = np.bincount(which, weights=difference)
    sizes = np.bincount(which).astype(np.float64)
    found = {"difference": float(difference.mean()), "better": int((difference > 0).sum()),
             "worse": int((difference < 0).sum()), "equal": int((difference == 0).sum()),
             "queries": len(difference), "clusters": len(labels)}
    if len(labels) < 2 or not difference.any():
        return {**found, "low": found["difference"], "high": found["difference"], "detectable": None}
    drawn = bootstrap((sums, sizes), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True, vectorized=True,
                      n_resamples=resamples, method="percentile", rng=np.random.default_rng(0), batch=100)
    return {**found, "low": float(drawn.confidence_interval.low), "high": float(drawn.confidence_interval.high),
            "detectable": float(2.8 * drawn.standard_error)}


def per_cent(entry: dict, value: float) -> float:
    """A figure of a results entry in per cent of the base's value; 0 for the base itself and where that is 0."""
    return 100 * value / entry["base"] if entry.get("base") else 0.0
