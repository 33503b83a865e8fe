"""Sweeps of learning rates: the best variant, and values at equal drift."""

import numpy as np
import pytest

from stages.analysis import sweeps
from stages.analysis.study_runs import SeedRun, VariantRuns


def trained(**drifts: list[float]) -> dict[str, VariantRuns]:
    """Variants of these drifts, one a seed run."""
    return {
        name: VariantRuns("base", {f"seed-{at}": SeedRun(1, 0, {}, "", 1 - one, {}) for at, one in enumerate(each)})
        for name, each in drifts.items()
    }


def test_the_best_has_the_highest_mean_over_seed_runs_and_queries():
    values = {"a": np.array([[1.0, 0.0], [0.0, 0.0]]), "b": np.array([[0.5, 0.0], [1.0, 0.0]])}
    assert sweeps.best(values, ["a", "b"]) == "b"


def test_values_between_two_rates_are_linear_in_drift():
    values, drifts = np.array([[0.0, 1.0], [0.4, 1.0], [0.8, 0.0]]), np.array([0.3, 0.1, 0.2])
    assert sweeps.between(values, drifts, 0.15) == pytest.approx([0.6, 0.5])
    assert sweeps.between(values, drifts, 0.3) == pytest.approx([0.0, 1.0])


def test_each_seed_run_is_read_at_its_own_drifts():
    values = {"a": np.array([[0.0], [0.0]]), "b": np.array([[1.0], [1.0]])}
    assert sweeps.at_drift(values, trained(a=[0.1, 0.0], b=[0.3, 0.4]), ["a", "b"], 0.2).ravel() == pytest.approx(
        [0.5, 0.5]
    )
    assert sweeps.at_drift(values, trained(a=[0.1, 0.2], b=[0.3, 0.6]), ["a", "b"], 0.3).ravel() == pytest.approx(
        [1.0, 0.25]
    )


def test_common_drifts_lie_inside_what_every_seed_run_of_both_covers():
    variants = trained(a=[0.1, 0.2], b=[0.5, 0.6], c=[0.0, 0.3], d=[0.9, 0.9])
    assert sweeps.common_drifts(variants, [["a", "b"], ["c", "d"]], 3) == pytest.approx([0.35, 0.4, 0.45])
    apart = trained(a=[0.1], b=[0.2], c=[0.3], d=[0.4])
    assert sweeps.common_drifts(apart, [["a", "b"], ["c", "d"]], 3) == []
