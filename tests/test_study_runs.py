"""The committed parts of a controlled study, read together."""

import json

import numpy as np
import pytest

from stages.analysis import study_runs
from stages.core.errors import UserError
from tests import planted_runs


def test_values_and_training_are_read_by_variant(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0.1, 0.25)})
    runs = study_runs.read(tmp_path, ["default", "gone"])
    values = runs.on("test", "RR@10")
    assert {name: part.shape for name, part in values.items()} == {"base": (1, 200), "a": (3, 200)}
    assert (values["a"] - values["base"]).mean() == pytest.approx(0.1, abs=0.01)
    assert list(runs.clusters["test"]) == sorted(runs.clusters["test"])
    assert runs.variants["a"].base == "base" and runs.variants["a"].batch == 4
    assert runs.variants["a"].seed_runs["seed-13"].validation == {0: 0.5, 8: 0.6}
    assert runs.variants["a"].drifts == pytest.approx([0.25] * 3)
    assert runs.variants["base"].seed_runs == {} and runs.sources[0].threads == "1"


def test_queries_are_in_one_order_whatever_the_files_is(tmp_path):
    import pyarrow.parquet as pq

    planted_runs.cause(tmp_path, {"a": (0.1, 0.25)})
    before = study_runs.read(tmp_path, ["default"])
    table = pq.read_table(tmp_path / "default.parquet")
    pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), tmp_path / "default.parquet")
    after = study_runs.read(tmp_path, ["default"])
    assert all(np.array_equal(before.values[key], after.values[key]) for key in before.values)
    assert all(np.array_equal(before.clusters[split], after.clusters[split]) for split in before.clusters)


def test_seed_runs_are_sorted_as_their_values_are(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0.1, 0.25)})
    path = tmp_path / "default.json"
    part = json.loads(path.read_text())
    part["variants"]["a"]["seed_runs"] = dict(reversed(part["variants"]["a"]["seed_runs"].items()))
    path.write_text(json.dumps(part))
    assert list(study_runs.read(tmp_path, ["default"]).variants["a"].seed_runs) == planted_runs.SEED_RUNS


def test_without_any_part_there_is_nothing_to_read(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0.1, 0.25)})
    assert study_runs.read(tmp_path, ["elsewhere"]) is None
    (tmp_path / "default.json").unlink()
    assert study_runs.read(tmp_path, ["default"]) is None


def test_parts_that_disagree_about_a_variant_are_refused(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0, 0.1)})
    planted_runs.cause(tmp_path, {"a": (0.1, 0.1)}, part="more")
    with pytest.raises(UserError, match=r"more\.parquet: variant 'a' has other values than in .*default\.parquet"):
        study_runs.read(tmp_path, ["default", "more"])
