"""Optimizers against their papers' formulas, step by step."""

import numpy as np
import pytest

from stages.params.tuning import FullTuning
from stages.training import optimizers

DECAY, STEPS = 0.1, 6


def steps_of(tuning, rates: list[float]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The weights after each step and the gradients given, in float64, for a rate of its own at each step."""
    import torch

    random = np.random.default_rng(3)
    weights = torch.nn.Parameter(torch.tensor(random.normal(size=7)))
    cls, keywords = optimizers.chosen(tuning, DECAY)
    optimizer = cls([weights], **keywords)
    seen, gradients = [weights.detach().numpy().copy()], random.normal(size=(STEPS, 7))
    gradients[2] = 0
    for rate, gradient in zip(rates, gradients, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        seen.append(weights.detach().numpy().copy())
    return np.array(seen), gradients


RATES = [0.02, 0.02, 0.015, 0.01, 0.005, 0.001]


@pytest.mark.parametrize("betas", [None, (0.8, 0.5)])
def test_lion(betas):
    """Chen et al. 2023, algorithm 2. The decay goes with the rate of the step, and not with the first rate."""
    seen, gradients = steps_of(FullTuning(kind="full", lr=RATES[0], optimizer="lion", betas=betas), RATES)
    first, second = betas or (0.9, 0.99)
    weights, momentum = seen[0], np.zeros(7)
    for rate, gradient, stepped in zip(RATES, gradients, seen[1:], strict=True):
        update = np.sign(first * momentum + (1 - first) * gradient)
        weights = weights - rate * (update + DECAY * weights)
        momentum = second * momentum + (1 - second) * gradient
        assert stepped == pytest.approx(weights, abs=1e-14)


@pytest.mark.parametrize("betas", [None, (0.8, 0.5)])
def test_adamw(betas):
    """Loshchilov and Hutter 2019, algorithm 2."""
    seen, gradients = steps_of(FullTuning(kind="full", lr=RATES[0], optimizer="adamw", betas=betas), RATES)
    first, second = betas or (0.9, 0.999)
    weights, mean, square = seen[0], np.zeros(7), np.zeros(7)
    for step, (rate, gradient, stepped) in enumerate(zip(RATES, gradients, seen[1:], strict=True), 1):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        moved = mean / (1 - first**step) / (np.sqrt(square / (1 - second**step)) + 1e-8)
        weights = weights - rate * (moved + DECAY * weights)
        assert stepped == pytest.approx(weights, abs=1e-12)


def test_each_name_has_its_own_betas():
    tunings = (FullTuning(kind="full", lr=0.1, optimizer=name) for name in ("adamw", "lion"))
    assert [optimizers.chosen(tuning, 0.0)[1]["betas"] for tuning in tunings] == [(0.9, 0.999), (0.9, 0.99)]
