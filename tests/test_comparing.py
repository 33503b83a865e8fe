"""Intervals: of nothing, of a sure difference, and wider where queries come in clusters."""
import numpy as np
import pytest

from stages.lib import comparing


def test_no_difference_and_a_constant_one():
    base = np.random.default_rng(0).random(50)
    same = comparing.change(base, base, np.arange(50))
    assert (same["difference"], same["low"], same["high"], same["equal"]) == (0, 0, 0, 50)
    above = comparing.change(base + 0.25, base, np.arange(50))
    assert above["low"] == pytest.approx(0.25) and above["high"] == pytest.approx(0.25) and above["better"] == 50


def test_clusters_widen_the_interval_and_the_normal_theory_is_met():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(400)
    alone = comparing.change(noise, np.zeros(400), np.arange(400))
    half = (alone["high"] - alone["low"]) / 2
    assert half == pytest.approx(1.96 * noise.std() / 20, rel=0.1)
    assert alone["detectable"] == pytest.approx(2.8 * noise.std() / 20, rel=0.1)
    together = comparing.change(np.repeat(noise[:40], 10), np.zeros(400), np.repeat(np.arange(40), 10))
    assert (together["high"] - together["low"]) / 2 > 2 * half
    assert alone == comparing.change(noise, np.zeros(400), np.arange(400))
