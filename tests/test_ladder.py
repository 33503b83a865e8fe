"""Growth along a ladder: weights of the line, its rise, and how often it is found where it was planted."""

import numpy as np
import pytest

from stages.analysis import ladder
from stages.core.errors import UserError
from stages.evaluation import significance
from tests import plants


def test_the_weights_are_those_of_a_line_over_its_whole_range():
    at = np.array([0.0, 1.0, 5.0])
    weights = ladder.weights(at)
    assert weights.sum() == pytest.approx(0) and (weights * (3 + 0.5 * at)).sum() == pytest.approx(0.5 * 5)
    values = np.random.default_rng(0).random(3)
    assert (weights * values).sum() == pytest.approx(5 * np.polyfit(at, values, 1)[0])
    with pytest.raises(UserError, match="alike"):
        ladder.weights(np.ones(3))


def test_a_doubling_of_steps_is_one_on_the_scale():
    assert ladder.scale([0, 1, 3, 7]) == pytest.approx([0, 1, 2, 3])


def test_changes_are_against_the_level_and_none_where_one_was_not_run():
    values = {"base": np.array([[0.5, 0.5]]), "far": np.array([[0.6, 0.6]])}
    values |= {"r_base": np.array([[0.4, 0.5]]), "r_far": np.array([[0.3, 0.7]])}
    assert ladder.changes(values, "r", ["base", "far"]) == pytest.approx(np.array([[[-0.1, 0]], [[-0.3, 0.1]]]))
    assert ladder.changes(values, "other", ["base"]) is None and ladder.changes(values, "r", ["gone"]) is None


@pytest.mark.parametrize("slope, fewest, most", [(0.0, 0, 5), (-0.004, 20, 40)])
def test_forty_studies_find_what_was_planted_as_often_as_they_should(slope, fewest, most):
    """Seeds, queries and clusters all vary; with no slope 5 % may be found, either way."""
    rng, at = np.random.default_rng(3), np.log2([1, 9, 33, 129, 513])
    clusters = np.repeat(np.arange(60), 5)
    hits = 0
    for _ in range(40):
        of_cluster, of_seed = rng.normal(0, 0.05, (5, 1, 60)).repeat(5, axis=2), rng.normal(0, 0.005, (5, 3, 1))
        noise = rng.normal(0, 0.1, (5, 3, 300))
        rise = ladder.rise(slope * at[:, None, None] + of_cluster + of_seed + noise, at)
        hits += significance.compare(rise, np.zeros_like(rise), clusters, 0.05, 1000).p < 0.05
    assert fewest <= hits <= most


@pytest.mark.parametrize(
    "changed, verdict",
    [
        ({"verdict": "worse"}, "grows"),
        ({"verdict": "better"}, "does not grow"),
        ({"verdict": "no difference", "low": -0.005}, "does not grow"),
        ({"low": -0.005}, "does not grow"),
        ({"low": -0.008}, "cannot tell"),
        ({"verdict": "worse", "clusters": 1}, "cannot tell"),
    ],
)
def test_does_not_grow_asks_for_more_than_a_large_p(changed, verdict):
    assert ladder.grows(plants.comparison(-0.001, **changed), unseen=0.003, margin=0.01) == verdict


@pytest.mark.parametrize(
    "judged, verdict",
    [
        ("better", "grows less"),
        ("worse", "grows more"),
        ("no difference", "cannot tell"),
        ("cannot tell", "cannot tell"),
    ],
)
def test_a_rise_against_another(judged, verdict):
    assert ladder.grows_less(plants.comparison(verdict=judged)) == verdict


def test_what_no_query_showed_moves_the_rise_by_the_sum_of_the_weights():
    at = np.array([0.0, 1.0])
    assert ladder.unseen(at, 300) == pytest.approx(2 * 3 / 300)
