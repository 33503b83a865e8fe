"""Two rows on the same queries: the mean difference, how far it could be chance, and what may be said of it."""
import numpy as np

# Two-sided 5 % and a power of 80 %: 1.96 + 0.84 standard errors (Cohen 1988).
POWER = 2.8


def change(variant: np.ndarray, base: np.ndarray, clusters: np.ndarray, alpha: float, resamples: int) -> dict:
    """The mean over queries of variant - base, with a 1 - alpha interval and a two-sided p-value.

    variant and base hold per-query values, (queries,) or (copies, queries), one copy a seed; copies are paired where
    both have equally many, else the base is averaged. clusters (queries,) name what is drawn together.

    One copy: the interval is scipy's percentile bootstrap of sum(differences) / sum(sizes) over clusters, p is scipy's
    randomisation test, which flips the sign of whole clusters (Smucker, Allan and Carterette 2007). It judges that
    checkpoint. Several copies judge the recipe: seeds and queries are crossed, so the variance is that of the bootstrap
    plus s^2 / seeds, s over the seeds' means (Owen 2007), in a t interval and test with Satterthwaite's (1946) degrees
    of freedom. detectable is the change that such a test finds 4 times in 5. All in the measure's own unit; without a
    second cluster, or a difference at all, the width is nought, p is 1 and detectable None.
    """
    differences = _differences(np.atleast_2d(variant), np.atleast_2d(base))
    mean = differences.mean(axis=0)
    labels, which = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(which, weights=mean), np.bincount(which).astype(np.float64)
    found = {"difference": float(mean.mean()), "better": int((mean > 0).sum()), "worse": int((mean < 0).sum()),
             "equal": int((mean == 0).sum()), "queries": len(mean), "clusters": len(labels), "copies": len(differences)}
    if len(labels) < 2 or not mean.any():
        return {**found, "low": found["difference"], "high": found["difference"], "p": 1.0, "detectable": None}
    if len(differences) == 1:
        return {**found, **_of_checkpoint(sums, sizes, alpha, resamples)}
    return {**found, **_of_recipe(found["difference"], differences.mean(axis=1), sums, sizes, alpha, resamples)}


def holm(p_values: list[float]) -> list[float]:
    """p-values of one family, corrected so that the chance of any false finding stays below alpha (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected.tolist()


def verdict(found: dict, p: float, alpha: float, margin: float) -> str:
    """worse, better, no difference (beyond `margin`, in the measure's unit), or cannot tell.

    worse and better ask for p < alpha. No difference asks that the whole interval lie within the margin (Schuirmann
    1987), and still do so when 3 / queries is added at both ends: what none of n queries showed may yet happen in up
    to 3 of n (the rule of three, Hanley and Lippman-Hand 1983), and can move a mean by as much.
    """
    if p < alpha:
        return "worse" if found["difference"] < 0 else "better"
    unseen = 3 / found["queries"]
    within = -margin < found["low"] - unseen and found["high"] + unseen < margin
    return "no difference" if within else "cannot tell"


def per_cent(entry: dict, value: float) -> float:
    """A figure of a results entry in per cent of the base's value; 0 for the base itself and where that is 0."""
    return 100 * value / entry["base"] if entry.get("base") else 0.0


def _differences(variant: np.ndarray, base: np.ndarray) -> np.ndarray:
    paired = len(variant) == len(base)
    return np.asarray(variant, np.float64) - (base if paired else base.mean(axis=0, keepdims=True))


def _bootstrap(sums: np.ndarray, sizes: np.ndarray, alpha: float, resamples: int):
    from scipy.stats import bootstrap
    return bootstrap((sums, sizes), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True, vectorized=True,
                     n_resamples=resamples, method="percentile", confidence_level=1 - alpha,
                     rng=np.random.default_rng(0), batch=200)


def _of_checkpoint(sums: np.ndarray, sizes: np.ndarray, alpha: float, resamples: int) -> dict:
    from scipy.stats import permutation_test
    drawn = _bootstrap(sums, sizes, alpha, resamples)
    test = permutation_test((sums, np.zeros_like(sums)), lambda a, b, axis: (a - b).sum(axis), vectorized=True,
                            permutation_type="samples", n_resamples=resamples, batch=200, rng=np.random.default_rng(0))
    return {"low": float(drawn.confidence_interval.low), "high": float(drawn.confidence_interval.high),
            "p": float(test.pvalue), "detectable": float(POWER * drawn.standard_error)}


def _of_recipe(difference: float, by_seed: np.ndarray, sums: np.ndarray, sizes: np.ndarray, alpha: float,
               resamples: int) -> dict:
    from scipy.stats import t
    of_queries = _bootstrap(sums, sizes, alpha, resamples).standard_error ** 2
    of_seeds = by_seed.var(ddof=1) / len(by_seed)
    error = np.sqrt(of_queries + of_seeds)
    freedom = (of_queries + of_seeds) ** 2 / (of_queries ** 2 / (len(sums) - 1) + of_seeds ** 2 / (len(by_seed) - 1))
    reach = t.ppf(1 - alpha / 2, freedom) * error
    return {"low": float(difference - reach), "high": float(difference + reach),
            "p": float(2 * t.sf(abs(difference) / error, freedom)),
            "detectable": float((t.ppf(1 - alpha / 2, freedom) + t.ppf(0.8, freedom)) * error)}
