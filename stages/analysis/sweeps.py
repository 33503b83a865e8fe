"""A sweep of learning rates: its best variant, and its values at a drift between two of its rates."""

import numpy as np

from stages.analysis.study_runs import VariantRuns


def best(values: dict[str, np.ndarray], sweep: list[str]) -> str:
    """The variant with the highest mean; values are those of the split to choose on, which is not the one reported."""
    return max(sweep, key=lambda variant: float(values[variant].mean()))


def common_drifts(trained: dict[str, VariantRuns], sweeps: list[list[str]], count: int) -> list[float]:
    """`count` drifts, evenly inside the range that every seed run of every sweep covers; none where there is none."""
    covered = np.array([[trained[variant].drifts for variant in sweep] for sweep in sweeps])
    low, high = covered.min(axis=1).max(), covered.max(axis=1).min()
    return [float(at) for at in np.linspace(low, high, count + 2)[1:-1]] if low < high else []


def at_drift(
    values: dict[str, np.ndarray], trained: dict[str, VariantRuns], sweep: list[str], target: float
) -> np.ndarray:
    """A sweep's values at a drift that all its seed runs reach, (seed runs, queries)."""
    by_rate = np.stack([values[variant] for variant in sweep])
    drifts = np.stack([trained[variant].drifts for variant in sweep])
    return np.stack([between(by_rate[:, seed], drifts[:, seed], target) for seed in range(by_rate.shape[1])])


def between(values: np.ndarray, drifts: np.ndarray, target: float) -> np.ndarray:
    """Per-query values (queries,) at a drift, linear between the two rates next to it.

    values is (rates, queries) and drifts (rates,) of one seed run. The drifts must reach the target.
    """
    order = np.argsort(drifts)
    values, drifts = values[order], drifts[order]
    above = int(np.clip(np.searchsorted(drifts, target), 1, len(drifts) - 1))
    share = (target - drifts[above - 1]) / (drifts[above] - drifts[above - 1])
    return (1 - share) * values[above - 1] + share * values[above]
