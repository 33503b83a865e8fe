"""Results as files keep them, and rounding."""

from dataclasses import replace

import numpy as np

from stages.core.rounding import rounded
from stages.evaluation import results
from tests import plants
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN


def test_what_is_written_is_read_back(tmp_path):
    entries = [plants.result("base"), plants.result("full", plants.comparison(-0.1, detectable=None, verdict=None))]
    pairs = [plants.pair("full", "lora", plants.comparison(0.1))]
    (tmp_path / "results.json").write_text(results.as_json(entries))
    (tmp_path / "pairs.json").write_text(results.as_json(pairs))
    assert results.read(tmp_path / "results.json") == entries and results.read_pairs(tmp_path / "pairs.json") == pairs


def test_results_at_a_target():
    here, there = plants.result("base"), plants.result("base", target=OUT_OF_DOMAIN)
    assert results.at([here, there], OUT_OF_DOMAIN) == {"base": there} and results.at([here, there], None) == {}
    assert here.target == IN_DOMAIN


def test_changes_are_in_per_cent_of_the_base_and_parts_are_known():
    full = plants.result("full", plants.comparison(-0.1))
    assert full.change() == -20 and full.change("detectable") == 4 and plants.result("base").change() is None
    assert plants.result("bm25", plants.comparison(detectable=None)).change("detectable") is None
    assert not full.on_part and replace(full, of=5000).on_part
    assert plants.pair("full", "lora", plants.comparison(0.1)).change() == 20


def test_every_float_is_rounded_whatever_holds_it():
    value = {"a": [1 / 3, (np.float64(2 / 3), 7)], "b": None, "c": "0.123456789", "d": np.int64(3), "e": True}
    assert rounded(value) == {"a": [0.333333, [0.666667, 7]], "b": None, "c": "0.123456789", "d": 3, "e": True}
    assert rounded(1 / 3, 2) == 0.33 and type(rounded(np.float64(1))) is float
