"""Paired comparisons: a published example, planted effects, clusters, seeds, families, and their verdicts."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from stages.evaluation import comparison, significance
from stages.evaluation.comparison import Comparison


def compared(variant, base, clusters=None, resamples=2000) -> Comparison:
    variant = np.asarray(variant, dtype=float)
    clusters = np.arange(variant.shape[-1]) if clusters is None else clusters
    return significance.compare(variant, np.asarray(base, dtype=float), clusters, 0.05, resamples)


def verdict(one: Comparison, margin=0.011, family=1) -> str:
    return comparison.verdict(one, min(1, one.p * family), 0.05, margin)


def reciprocal_ranks(queries: int) -> np.ndarray:
    """Per-query RR@10 as a retriever has them: half of the first ranks right, a quarter not one."""
    return np.random.default_rng(5).choice(
        [1, 1 / 2, 1 / 3, 1 / 5, 1 / 8, 0], queries, p=[0.5, 0.1, 0.05, 0.05, 0.05, 0.25]
    )


def test_fishers_exact_randomisation_of_darwins_plants():
    """Fisher (1935, The Design of Experiments, section 21): 1,726 of 32,768 sign patterns are as extreme, 5.267 %."""
    eighths_of_an_inch = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    one = compared(eighths_of_an_inch, np.zeros(15), resamples=40_000)
    assert one.p == pytest.approx(1726 / 32768, abs=1e-9)
    assert one.difference == pytest.approx(314 / 15)


def test_clusters_that_did_not_move_leave_p_as_it_is():
    """Among a thousand unmoved queries Darwin's 15 plants still have Fisher's p; a lone cluster proves nothing."""
    plants = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    assert compared(np.concatenate([plants, np.zeros(1000)]), np.zeros(1015), resamples=40_000).p == pytest.approx(
        1726 / 32768, abs=1e-9
    )
    assert compared(np.concatenate([[1], np.zeros(99)]), np.zeros(100)).p == 1
    even = compared(np.array([1, -1, 0, 0]), np.zeros(4), np.array([0, 0, 1, 2]))
    assert (even.p, even.better, even.worse, even.difference) == (1, 1, 1, 0)


def test_holms_correction_of_a_worked_example():
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([0.9, 0.8]) == [1, 1] and comparison.holm([]) == []


def test_a_variant_equal_to_the_base_is_neither_worse_nor_better():
    base = reciprocal_ranks(953)
    same = compared(base, base)
    assert (same.difference, same.low, same.high, same.p, same.equal) == (0, 0, 0, 1, 953)
    assert verdict(same) == "no difference"
    assert verdict(compared(base[:40], base[:40])) == "cannot tell"


def test_swapped_ranks_are_found_with_their_sign_and_size():
    base = reciprocal_ranks(953)
    first = np.flatnonzero(base == 1)[:95]
    fallen = base.copy()
    fallen[first] = 1 / 2
    one = compared(fallen, base)
    assert one.difference == pytest.approx(-95 * 0.5 / 953)
    assert one.low < one.difference < one.high < 0 and one.worse == 95 and one.better == 0
    assert verdict(one, family=12) == "worse" and verdict(compared(base, fallen), family=12) == "better"


def test_forty_queries_cannot_tell():
    base = reciprocal_ranks(40)
    moved = base.copy()
    moved[[3, 8, 21]] = [0.5, 1, 0.2]
    assert verdict(compared(moved, base)) == "cannot tell"


def test_chance_is_called_a_finding_as_often_as_the_significance_says():
    rng = np.random.default_rng(0)
    p = [compared(rng.standard_normal(60), np.zeros(60), np.arange(60) // 2, 1000).p for _ in range(200)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


SHARES = (0, 0.1, 0.3, 0.6, 0.9)  # of the seeds, in the variance of a recipe's mean


@pytest.mark.parametrize("seeds, most, before", [(2, 0.064, 0.115), (3, 0.054, 0.07), (5, 0.053, 0.055)])
def test_a_recipe_that_gains_nothing_is_found_no_more_often_than_the_significance_says(seeds, most, before):
    """Over few seeds. Mean squares of normal theory, 200 queries, by share of the seeds and size of the interaction.

    With two seeds it is up to 6 %. Satterthwaite's degrees of freedom find chance more often where seeds scatter.
    """
    rng, draws = np.random.default_rng(0), 20_000
    found, by_satterthwaite = [], []
    for share, interaction in product(SHARES, (0.25, 1)):
        within = np.array([1, interaction / seeds]) / 200
        between = share / (1 - share) * within.sum()
        of_queries = within.sum() * rng.chisquare(199, draws) / 199
        of_seeds = (between + within[1]) * rng.chisquare(seeds - 1, draws) / (seeds - 1)
        shared = within[1] * rng.chisquare(199 * (seeds - 1), draws) / (199 * (seeds - 1))
        variance = np.maximum(np.maximum(of_queries, of_seeds), of_queries + of_seeds - shared)
        statistic = np.abs(rng.normal(0, np.sqrt(within.sum() + between), draws)) / np.sqrt(variance)
        found.append(np.mean(statistic > significance.Weighted(of_seeds / variance, seeds - 1, 199).above(0.025)))
        freedom = variance**2 / (of_queries**2 / 199 + of_seeds**2 / (seeds - 1))
        by_satterthwaite.append(np.mean(statistic > t.isf(0.025, freedom)))
    assert max(found) < most and min(found) > 0.008
    assert max(by_satterthwaite) > before


def test_so_it_is_from_the_values_of_queries():
    """Two seeds have nine tenths of the variance; with Satterthwaite's degrees of freedom 12 in 100 are found."""
    rng, spread = np.random.default_rng(1), 3 * (2 / 40) ** 0.5
    values = rng.normal(0, 1, (400, 1, 40)) + rng.normal(0, 0.25, (400, 2, 40)) + rng.normal(0, spread, (400, 2, 1))
    assert np.mean([compared(one, np.zeros(40), None, 100).p < 0.05 for one in values]) < 0.08


@pytest.mark.parametrize("share, seeds, queries", [(0, 2, 50), (1, 2, 50), (0.3, 2, np.inf), (0.5, 1, 1), (0.01, 1, 4)])
def test_p_and_critical_value_of_two_variances_say_the_same(share, seeds, queries):
    """By hand: 0.3 x 4.3027 + 0.7 x 1.9600 is exceeded, up or down, with p = 0.05."""
    assert significance.Weighted(0.3, 2, np.inf).above(0.025) == pytest.approx(0.3 * 4.3027 + 0.7 * 1.9600, abs=1e-4)
    one = significance.Weighted(share, seeds, queries)
    for p in (1, 0.6, 0.05, 1e-4, 1e-12):
        assert one.two_sided(one.above(p / 2)) == pytest.approx(p, rel=1e-6)
    assert 0 < one.two_sided(1e9) < 1e-3


def test_clusters_widen_the_interval_and_the_normal_theory_is_met():
    noise = np.random.default_rng(0).standard_normal(400)
    alone = compared(noise, np.zeros(400))
    half = (alone.high - alone.low) / 2
    assert half == pytest.approx(1.96 * noise.std() / 20, rel=0.1)
    assert alone.detectable == pytest.approx(2.8 * noise.std() / 20, rel=0.1)
    together = compared(np.repeat(noise[:40], 10), np.zeros(400), np.repeat(np.arange(40), 10))
    assert (together.high - together.low) / 2 > 2 * half
    assert alone == compared(noise, np.zeros(400))


def test_seeds_that_disagree_make_a_recipe_uncertain():
    base = reciprocal_ranks(900)
    agreeing = np.stack([base + 0.02] * 3) + np.random.default_rng(1).normal(0, 0.1, 900)
    sure = compared(agreeing, base)
    unsure = compared(agreeing + np.array([[-0.06], [0.0], [0.06]]), base)
    assert sure.difference == pytest.approx(unsure.difference) and sure.seed_runs == 3
    assert sure.p < 0.05 < unsure.p
    # Seeds alone: three means 0.1, 0.2, 0.3 have a standard error of 0.1 / sqrt(3) and two degrees of freedom, t 4.303.
    seeds_only = compared(np.array([[0.1], [0.2], [0.3]]) + np.zeros((3, 50)), np.zeros(50))
    assert seeds_only.high - seeds_only.difference == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)


def test_a_family_is_judged_together_with_a_margin_each():
    base = reciprocal_ranks(900)
    fallen = base.copy()
    fallen[np.flatnonzero(base == 1)[:60]] = 1 / 2
    fell, same = compared(fallen, base), compared(base, base)
    judged = comparison.judge([fell, same, same], 0.05, [0.011, 0.011, 0.001])
    assert [one.p_family for one in judged] == comparison.holm([fell.p, 1, 1])
    assert [one.verdict for one in judged] == ["worse", "no difference", "cannot tell"]
    assert comparison.judge([], 0.05, []) == []


def test_a_comparison_reversed_and_rounded():
    one = compared(reciprocal_ranks(60) + 0.123456789, reciprocal_ranks(60))
    back = one.reversed()
    assert (back.difference, back.low, back.high) == (-one.difference, -one.high, -one.low)
    assert (back.better, back.worse, back.p) == (one.worse, one.better, one.p) and back.reversed() == one
    assert one.rounded().difference == 0.123457 and one.rounded().queries == 60


def test_per_cent_of_nothing_is_nothing():
    assert comparison.per_cent(-0.1, 0.4) == -25 and comparison.per_cent(1, 0) is comparison.per_cent(1, None) is None


@pytest.mark.parametrize("clusters", [2, 5, 13, 14, 60])
def test_p_is_that_of_scipys_permutation_test(clusters):
    """On both sides of what has fewer assignments of signs than resamples, and so is counted whole."""
    from scipy.stats import permutation_test

    moved = np.random.default_rng(clusters).normal(0.2, 1, clusters)
    whole = permutation_test(
        (moved, np.zeros(clusters)),
        lambda one, other, axis: (one - other).sum(axis),
        vectorized=True,
        permutation_type="samples",
        n_resamples=10_000,
        rng=np.random.default_rng(0),
    )
    assert significance._randomised(moved, 10_000) == pytest.approx(whole.pvalue, rel=1e-12)
