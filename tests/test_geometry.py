"""Each figure of a space against a case worked out by hand, and what must leave it as it is."""

import numpy as np
import pytest

from stages.analysis import geometry
from stages.analysis.geometry import Correlation

RNG = np.random.default_rng(3)
SPACE = RNG.normal(size=(30, 6))
TURN = np.linalg.qr(RNG.normal(size=(6, 6)))[0]


def test_effective_rank_counts_directions_that_are_alike():
    assert geometry.effective_rank(np.eye(5)) == pytest.approx(5)
    assert geometry.effective_rank(np.ones((9, 4))) == pytest.approx(1)
    # Singular values 3 and 1: shares 3/4 and 1/4, exp(entropy) = (4/3)^(3/4) x 4^(1/4) = 4 / 3^(3/4).
    assert geometry.effective_rank(np.diag([3.0, 1.0])) == pytest.approx(4 / 27**0.25)


def test_uniformity_and_alignment_of_a_cross():
    cross = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # of six pairs four are sqrt 2 apart and two 2 apart
    assert geometry.uniformity(cross) == pytest.approx(np.log((4 * np.exp(-4) + 2 * np.exp(-8)) / 6))
    assert geometry.uniformity(np.ones((3, 4)) / 2) == 0
    assert geometry.alignment(cross[:3], cross[[0, 0, 0]]) == pytest.approx((0 + 2 + 4) / 3)


def test_neighbours_are_shared_vector_by_vector():
    angles = np.radians([0, 10, 30, 70])  # nearest: row 1, 0, 1, 2
    line = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    angles = np.radians([0, 50, 30, 70])  # nearest: row 2, 2 (the lower of 2 and 3), 1, 1
    other = np.stack([np.cos(angles), np.sin(angles), np.zeros(4)], axis=1)
    assert geometry.neighbour_overlap(line, other, 1) == 1 / 4
    assert geometry.neighbour_overlap(line, 7 * line, 2) == 1
    # All equal: row 0 takes row 1, the others take row 0. On the line rows 0 and 1 do the same.
    assert geometry.neighbour_overlap(line, np.ones((4, 5)), 1) == 2 / 4
    assert geometry.neighbour_overlap(line, other, 99) == 1  # three others are all there are


def test_linear_cka_of_two_tables_by_hand():
    a = np.array([[1.0], [-1], [0], [0]])
    b = np.array([[1.0, 0], [0, 0], [-1, 1], [0, -1]]) + 5
    # Centred, b'a = (1, 0), a'a = 2, b'b = [[2, -1], [-1, 2]]: 1 / (2 sqrt 10).
    assert geometry.linear_cka(a, b) == pytest.approx(1 / (2 * 10**0.5))
    assert geometry.linear_cka(a, [[0.0], [0], [1], [-1]]) == 0
    assert geometry.linear_cka(SPACE, np.full((30, 4), 0.1)) is None


def test_a_rotation_changes_no_figure_and_a_space_is_like_itself():
    turned = SPACE @ TURN
    assert geometry.effective_rank(turned) == pytest.approx(geometry.effective_rank(SPACE))
    assert geometry.linear_cka(SPACE, 3 * turned + 1) == pytest.approx(1)
    assert geometry.neighbour_overlap(SPACE, turned, 5) == 1
    half = geometry.linear_cka(SPACE, SPACE[:, :3])
    assert 0 < half < 1 and geometry.linear_cka(turned, SPACE[:, :3]) == pytest.approx(half)


def test_norms_and_gaps():
    assert geometry.norms([[3, 4], [0, 1]]) == {"mean": 3, "sd": 2, "min": 1, "max": 5}
    gaps = geometry.gaps([0.9, 0.5, 0.2, 0.4], [0.5, 0.5, 0.4, 0.2])  # gaps 0.4, 0, -0.2, 0.2
    assert gaps == {"mean_gap": pytest.approx(0.1), "share_above": 0.5}
    assert geometry.gaps([], []) == {"mean_gap": None, "share_above": None}


def test_correlation_is_exact_in_small_samples():
    # Of 24 orders one has rho 1 and one -1. A swap of two neighbours costs 6 x 2 / (4 x 15); there are three, so that 4
    # orders have 0.8 or more and 4 have -0.8 or less.
    assert geometry.correlation([1, 2, 3, 4], [10, 20, 30, 99]) == Correlation(1, pytest.approx(2 / 24), 4)
    assert geometry.correlation([1, 2, 3, 4], [30, 40, 20, 10]) == Correlation(
        pytest.approx(-0.8), pytest.approx(8 / 24), 4
    )
    assert geometry.correlation(range(20), [-value for value in range(20)]).rho == pytest.approx(-1)


@pytest.mark.parametrize("values, changes", [([1, 2], [1, 2]), ([], []), ([5, 5, 5, 5], [1, 2, 3, 4])])
def test_there_is_no_correlation_of_too_few_or_of_a_constant(values, changes):
    assert geometry.correlation(values, changes) == Correlation(None, None, len(values))


def test_a_variant_without_a_figure_or_a_change_is_left_out():
    figures = {"a": (1.0, None), "b": (2.0, 1.0), "c": (3.0, 2.0), "d": (4.0, 3.0)}
    spaces = {variant: {"x": x, "y": y} for variant, (x, y) in figures.items()}
    by_figure = geometry.correlations(spaces, {"a": 0.3, "b": 0.2, "c": 0.1})
    assert by_figure == {"x": Correlation(-1.0, 0.333333, 3), "y": Correlation(None, None, 2)}
