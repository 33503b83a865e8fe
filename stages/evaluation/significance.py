"""Two variants on the same queries: the mean difference, and how far it could be chance."""

from typing import Any, NamedTuple

import numpy as np

from stages.evaluation.comparison import Comparison

POWER = 0.8
SMALLEST = 1e-300  # the p below which no other is looked for


class Test(NamedTuple):
    """The part of a Comparison that comes from resampling."""

    low: float
    high: float
    p: float
    detectable: float | None


def compare(
    variant: np.ndarray, base: np.ndarray, clusters: np.ndarray, significance: float, resamples: int
) -> Comparison:
    """The mean over queries of variant - base, with a 1 - significance interval and a two-sided p-value.

    variant and base hold per-query values, (queries,) or (seed runs, queries); seed runs are paired where both have
    equally many, else the base is averaged. clusters (queries,) name what is drawn together.

    One seed run: the interval is scipy's percentile bootstrap of sum(differences) / sum(sizes) over clusters, widened
    for few of them (Hesterberg 2015); p is scipy's randomisation test, which flips the sign of whole clusters (Smucker,
    Allan and Carterette 2007). It judges that checkpoint. Several seed runs judge the recipe: seeds and queries are
    crossed random effects (Brennan 2001), so the variance is that of the bootstrap plus s^2 / seeds, s over the seeds'
    means, less their interaction, which both contain; interval and test have Cochran and Cox's (1950) weighted critical
    value. detectable is the minimum detectable effect of an uncorrected test at 80 % power (Cohen 1988). All are in the
    measure's unit; without a second cluster, or a difference at all, the interval has no width, p is 1 and detectable
    None.
    """
    differences = _differences(np.atleast_2d(variant), np.atleast_2d(base))
    mean = differences.mean(axis=0)
    labels, which = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(which, weights=mean), np.bincount(which).astype(np.float64)
    if len(labels) < 2 or not differences.any():
        test = Test(low=float(mean.mean()), high=float(mean.mean()), p=1.0, detectable=None)
    elif len(differences) == 1:
        test = _of_checkpoint(sums, sizes, significance, resamples)
    else:
        test = _of_recipe(differences, which, sums, sizes, significance, resamples)
    return Comparison(
        difference=float(mean.mean()),
        **test._asdict(),
        better=int((mean > 0).sum()),
        worse=int((mean < 0).sum()),
        equal=int((mean == 0).sum()),
        queries=len(mean),
        clusters=len(labels),
        seed_runs=len(differences),
    )


def _differences(variant: np.ndarray, base: np.ndarray) -> np.ndarray:
    paired = len(variant) == len(base)
    return np.asarray(variant, np.float64) - (base if paired else base.mean(axis=0, keepdims=True))


def _bootstrap(sums: np.ndarray, sizes: np.ndarray, significance: float, resamples: int) -> Any:
    from scipy.stats import bootstrap, norm, t

    few = len(sums) / (len(sums) - 1)
    level = 1 - 2 * norm.cdf(-np.sqrt(few) * t.ppf(1 - significance / 2, len(sums) - 1))
    return bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        confidence_level=level,
        rng=np.random.default_rng(0),
        batch=200,
    )


def _of_checkpoint(sums: np.ndarray, sizes: np.ndarray, significance: float, resamples: int) -> Test:
    from scipy.stats import norm

    drawn = _bootstrap(sums, sizes, significance, resamples)
    low, high = drawn.confidence_interval
    reach = norm.ppf(1 - significance / 2) + norm.ppf(POWER)
    return Test(float(low), float(high), _randomised(sums, resamples), float(reach * drawn.standard_error))


def _randomised(sums: np.ndarray, resamples: int) -> float:
    """p of the randomisation test. A cluster whose sum is 0 adds nothing under either sign, so it is left out.

    Where there are more assignments of signs than resamples, they are the draws of scipy's permutation_test, whose own
    loop is over clusters: monte_carlo_test has the same p from them in a fifth of the time.
    """
    from scipy.stats import monte_carlo_test, permutation_test

    moved = sums[sums != 0]
    if len(moved) < 2:
        return 1.0
    if 2 ** len(moved) <= resamples:
        test = permutation_test((moved,), np.sum, permutation_type="samples", vectorized=True, n_resamples=resamples)
        return float(test.pvalue)
    rng = np.random.default_rng(0)

    def drawn(size: tuple[int, int]) -> np.ndarray:
        return moved * rng.permuted(np.tile((1.0, -1.0), (*size, 1)), axis=-1)[..., 0]

    test = monte_carlo_test(moved, drawn, np.sum, vectorized=True, n_resamples=resamples, batch=200)
    return float(test.pvalue)


def _of_recipe(
    differences: np.ndarray,
    which: np.ndarray,
    sums: np.ndarray,
    sizes: np.ndarray,
    significance: float,
    resamples: int,
) -> Test:
    seeds, difference = len(differences), float(differences.mean())
    of_queries = _bootstrap(sums, sizes, significance, resamples).standard_error ** 2
    of_seeds = differences.mean(axis=1).var(ddof=1) / seeds
    apart = differences - differences.mean(axis=0)
    shared = np.mean([_sampling_variance(seed, which) for seed in apart]) / (seeds - 1)
    variance = max(of_queries, of_seeds, of_queries + of_seeds - shared)
    if not variance:
        return Test(low=difference, high=difference, p=0.0, detectable=None)
    quantile = Weighted(of_seeds / variance, seeds - 1, len(sums) - 1)
    error, reach = np.sqrt(variance), quantile.above(significance / 2)
    return Test(
        low=float(difference - reach * error),
        high=float(difference + reach * error),
        p=quantile.two_sided(abs(difference) / error),
        detectable=float((reach + quantile.above(1 - POWER)) * error),
    )


class Weighted(NamedTuple):
    """Student's t for a sum of two variances, of seeds and of queries (Cochran and Cox 1950).

    A critical value is the mean of those for the two degrees of freedom, each weighted with its share of the variance.
    `share` is that of the seeds, whose mean square holds the interaction too; the rest is the queries'.
    """

    share: float
    seeds: float
    queries: float

    def above(self, tail: float) -> Any:
        """What is exceeded with the probability `tail`, for each share."""
        from scipy.stats import t

        return self.share * t.isf(tail, self.seeds) + (1 - self.share) * t.isf(tail, self.queries)

    def two_sided(self, statistic: float) -> float:
        """p: that at which the critical value is the statistic, which is at least 0."""
        from scipy.optimize import brentq
        from scipy.stats import t

        ends = [2 * t.sf(statistic, freedom) for freedom in (self.seeds, self.queries)]
        low, high = np.log(max(min(ends) / 2, SMALLEST)), np.log(min(1, 2 * max(ends)))
        if self.above(np.exp(low) / 2) <= statistic:
            return float(np.exp(low))
        return float(np.exp(brentq(lambda log: self.above(np.exp(log) / 2) - statistic, low, high)))


def _sampling_variance(values: np.ndarray, which: np.ndarray) -> float:
    """Variance of a mean of per-query values over clusters, linearised (Cochran 1977)."""
    return float((np.bincount(which, weights=values - values.mean()) ** 2).sum() / len(values) ** 2)
