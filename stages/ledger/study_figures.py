"""The figures that the study at hand gives for what a claim needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.analysis.diagnosis import Diagnosis
from stages.evaluation import per_query
from stages.evaluation.comparison import per_cent
from stages.evaluation.per_query import PerQuery
from stages.evaluation.significance import Weighted
from stages.ledger.claims import Needs
from stages.params.report import Report, Target

Interval = tuple[float, float]


def figure(
    needs: Needs, part: str, table: pa.Table, diagnosis: Diagnosis, costs: list[dict[str, Any]], report: Report
) -> float | Interval | None:
    """A value, or the 1 - significance interval of a difference; None where a variant was not measured.

    part is one of needs.each; table holds the per-query values (see per_query.read), costs are the figures of the
    stages (see costs.recorded). A change is in per cent, a difference `times` the measure's unit. A claim about a mean
    over several corpora is about these corpora, so its interval comes from queries drawn anew within each of them.
    """
    if needs.measure.startswith("gpu_"):
        return _cost(needs, part, costs)
    if not _all_measured(needs, part, table):
        return None
    if needs.figure == "correlation":
        return _correlation(needs, table, diagnosis, report.significance)
    targets, (variant, *against) = needs.targets, needs.named(part)
    ones = [per_query.of(table, variant, target) for target in targets]
    if needs.figure == "value":
        return needs.times * float(np.mean([one.mean for one in ones]))
    others = [per_query.of(table, against[0], target) for target in targets]
    if len(targets) == 1:
        compared = per_query.compare(*per_query.common(ones[0], others[0]), report.significance, report.resamples)
        ends = (compared.low, compared.high)
    else:
        ends = _within_corpora(ones, others, report.significance, report.resamples)
    if needs.figure == "difference":
        return needs.times * ends[0], needs.times * ends[1]
    base = float(np.mean([other.mean for other in others]))
    low, high = (per_cent(end, base) for end in ends)
    return None if low is None or high is None else (low, high)


def over_corpora(needs: Needs, part: str, table: pa.Table, significance: float) -> Interval | None:
    """Student's interval of a difference over corpora, as if these were drawn from others; None where there is none."""
    from scipy.stats import t

    if needs.figure != "difference" or len(needs.corpora) == 1 or not _all_measured(needs, part, table):
        return None
    variant, against = needs.named(part)
    means = [per_query.of(table, variant, target).mean for target in needs.targets]
    others = [per_query.of(table, against, target).mean for target in needs.targets]
    apart = needs.times * (np.array(means) - others)
    reach = t.ppf(1 - significance / 2, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
    return float(apart.mean() - reach), float(apart.mean() + reach)


def _within_corpora(
    ones: Sequence[PerQuery], others: Sequence[PerQuery], significance: float, resamples: int
) -> Interval:
    """Interval of the mean over corpora of the mean difference, each corpus's queries resampled on their own.

    One seed run: the percentile bootstrap. Several: the variance of the bootstrap plus s^2 / seeds, s over the seeds'
    means, and the critical value that significance.compare has, with as many queries as one likes.
    """
    differences, drawn = [], np.zeros(resamples)
    for at, pair in enumerate(zip(ones, others, strict=True)):
        one, other = per_query.common(*pair)
        paired = len(one.seed_runs) == len(other.seed_runs)
        apart = one.values - (other.values if paired else other.values.mean(axis=0, keepdims=True))
        differences.append(apart.mean(axis=1))
        drawn += _drawn(apart.mean(axis=0), one, resamples, at) / len(ones)
    of_seeds = np.mean(differences, axis=0)
    if len(of_seeds) == 1:
        low, high = np.quantile(drawn, [significance / 2, 1 - significance / 2])
        return float(low), float(high)
    of_queries, between = float(drawn.var()), float(of_seeds.var(ddof=1)) / len(of_seeds)
    variance, mean = of_queries + between, float(of_seeds.mean())
    if not variance:
        return mean, mean
    quantile = Weighted(between / variance, len(of_seeds) - 1, np.inf)
    reach = quantile.above(significance / 2) * float(np.sqrt(variance))
    return mean - reach, mean + reach


def _drawn(difference: np.ndarray, side: PerQuery, resamples: int, seed: int) -> np.ndarray:
    """Means (resamples,) of a corpus's differences (queries,), with its queries, or clusters of them, drawn anew."""
    from scipy.stats import bootstrap

    clusters = side.query_ids if side.clusters is None else side.clusters
    labels, which = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(which, weights=difference), np.bincount(which).astype(np.float64)
    if len(labels) < 2 or not difference.any():
        return np.full(resamples, difference.mean())
    return bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
        batch=200,
    ).bootstrap_distribution


def _cost(needs: Needs, part: str, costs: list[dict[str, Any]]) -> Interval | None:
    """Range over seed runs of the change of a figure that training recorded, in per cent.

    None where a side has fewer than two seed runs that were trained without interruption: one says nothing of the next.
    """
    trained = [entry for entry in costs if entry["stage"] == "train" and needs.measure in entry]
    ones, others = (
        [entry[needs.measure] for entry in trained if entry["name"].startswith(f"{side}.") and not entry["resumed"]]
        for side in needs.named(part)
    )
    changes = [100 * (one / other - 1) for one in ones for other in others]
    return (min(changes), max(changes)) if min(len(ones), len(others)) > 1 else None


def _all_measured(needs: Needs, part: str, table: pa.Table) -> bool:
    return all(_measured(table, target, variant) for target in needs.targets for variant in needs.named(part))


def _measured(table: pa.Table, target: Target, variant: str) -> bool:
    if target.measure not in table.column_names:
        return False
    return pc.any(pc.equal(per_query.on(table, target.corpus, target.split)["variant"], variant)).as_py() is True


def _correlation(needs: Needs, table: pa.Table, diagnosis: Diagnosis, significance: float) -> Interval | None:
    """Interval of Spearman's correlation over variants: Fisher's z with the variance of Bonett and Wright (2000).

    None where the spaces were diagnosed on another corpus, or a variant's was not.
    """
    from scipy.stats import norm, spearmanr

    spaces, target, variants = diagnosis.geometry, needs.targets[0], needs.variants or []
    if diagnosis.sample.corpus != target.corpus or not all(variant in spaces for variant in variants):
        return None
    values = [per_query.of(table, variant, target).mean for variant in variants]
    figures = [spaces[variant][str(needs.geometry)] for variant in variants]
    rho = float(np.clip(spearmanr(figures, values).statistic, -0.999999, 0.999999))
    reach = norm.ppf(1 - significance / 2) * np.sqrt((1 + rho**2 / 2) / (len(values) - 3))
    return float(np.tanh(np.arctanh(rho) - reach)), float(np.tanh(np.arctanh(rho) + reach))
