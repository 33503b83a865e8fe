"""The report's other tables: training, pairs, every measure, vector spaces, collections, costs."""

import json
from dataclasses import replace

import pytest

from stages.analysis.diagnosis import Diagnosis, Sample
from stages.analysis.geometry import Correlation
from stages.collections.canonical import Card, SplitSizes
from stages.core.errors import UserError
from stages.reporting import (
    collections_table,
    costs_table,
    markdown,
    results_tables,
    space_table,
    training_logs,
    training_table,
)
from stages.reporting.training_logs import Interpolated, SeedRun, TrainingLog
from tests import plants
from tests.conftest import STUDY


def log(*curves: list[float], measure: str = "RR@10", best_step: int | None = None) -> TrainingLog:
    """A variant with a seed run for each validation curve, validated after 0, 8, 16 ... steps."""
    runs = []
    for seed, curve in enumerate(curves):
        steps = [{"step": 8 * at, measure: value} for at, value in enumerate(curve)]
        entries = [*steps, {"step": 1, "loss": 3.0}, {"step": 2, "loss": 1.0}]
        runs.append(SeedRun(seed, 2, 5, 10, tensors=2, changed=1, log=entries, best_step=best_step))
    return TrainingLog("x", runs)


def written(table) -> list[str]:
    return markdown.document(table if isinstance(table, list) else [table]).splitlines()


def test_logs_are_read_with_their_interpolations_and_a_missing_one_is_named(tmp_path):
    stored = {
        "variant": "mix",
        "seed_runs": [],
        "between": [{"seed_run": "seed-1", "alpha": 0.5, "RR@10": {"0.5": 0.7}}],
    }
    (tmp_path / "mix.json").write_text(json.dumps(stored))
    found = training_logs.read(tmp_path, ["mix"])["mix"]
    assert found.between == [Interpolated("seed-1", 0.5, {0.5: 0.7})]
    with pytest.raises(UserError, match=r"gone.json: there is no such training log; run dvc repro"):
        training_logs.read(tmp_path, ["mix", "gone"])


def test_what_training_left_alone_is_said_below_its_table():
    (run,) = log([0.5]).seed_runs
    few = replace(run, moved=0.059, untouched=["Dense"], read=24, mean_batch=4.0, left_out=24)
    lines = written(training_table.training({"tuned": TrainingLog("tuned", [few])}))
    assert "| 1 of 2 | 5.9 |" in lines[2]
    below = "\n".join(lines[3:])
    assert "only 5.9 % moved at all" in below and "The Dense layers of tuned were not trained." in below
    assert "tuned read 24 triplets, 4.0 a batch, and left out 24" in below
    assert training_table.warnings({"tuned": TrainingLog("tuned", [replace(run, moved=0.5)])}) == []


def test_training_tells_the_kept_weights_from_the_best():
    best, last = ({"tuned": log([0.5, 0.9, 0.7], best_step=step)} for step in (8, None))
    line = "| tuned | 0 | 2 | 5 | 50.000 | 1 of 2 | – | 3.000 | 1.000 | 0.500 | 0.900 |"
    assert f"{line} 0.900 |" in written(training_table.training(best))
    assert f"{line} 0.700 |" in written(training_table.training(last))
    bare = training_table.training({"tuned": log([])})
    assert "| tuned | 0 | 2 | 5 | 50.000 | 1 of 2 | – | 3.000 | 1.000 | – | – | – |" in written(bare)
    assert "| 0.500 | 0.500 | 0.500 |" in written(training_table.training({"tuned": log([0.5])}))[2]
    reranker = training_table.training({"tuned": log([0.2, 0.4], measure="RR of 5")})
    assert written(reranker)[2].endswith("| 0.200 | 0.400 | 0.400 |")


def test_interpolations_show_every_alpha_and_what_was_taken():
    between = [Interpolated("seed-1", 0.5, {0.0: 0.6, 0.5: 0.7})]
    logs = {"a": TrainingLog("a", (), between), "b": TrainingLog("b", (), [Interpolated("seed-1", 1.0, {1.0: 0.8})])}
    lines = written(training_table.interpolations(logs))
    assert lines[0] == "| interpolation | seed run | alpha 0 | alpha 0.5 | alpha 1 |"
    assert lines[2:4] == ["| a | seed-1 | 0.600 | **0.700** | – |", "| b | seed-1 | – | – | **0.800** |"]
    assert training_table.interpolations({"c": log([0.5])}) is None


def test_steps_to_the_same_quality_are_over_the_mean_of_seeds():
    steps = training_table.steps_to_quality
    assert steps(log([0.2, 0.5, 0.7, 0.6]), log([0.2, 0.3, 0.4, 0.6])) == "16 against 24 (0.600)"
    assert steps(log([0.2, 0.4], [0.4, 0.6]), log([0.3, 0.5])) == "8 against 8 (0.500)"
    assert steps(log([]), log([0.3])) == steps(log([0.3]), log([0.3], measure="RR of 5")) == "–"


def test_pairs_are_in_per_cent_of_the_second():
    pairs = [plants.pair("lora-hard", "full-hard", plants.comparison(0.05, verdict="better"))]
    lines = written(results_tables.pairs(STUDY, pairs, {"lora-hard": log([0.2, 0.5]), "full-hard": log([0.2, 0.4])}))
    assert lines[2] == (
        "| **lora-hard** against **full-hard** | RR@10, in_domain test | 0.5500 against 0.5000 | "
        "+10.0 (+8.0 to +12.0) | better | 10 / 20 / 1170 | 8 against 8 (0.400) |"
    )
    assert "name some in report.pairs" in written(results_tables.pairs(STUDY, [], {}))[0]


def test_every_measure_has_a_table_for_each_split_and_stars_parts():
    part = plants.result("late-random", plants.comparison(0.1, queries=100), of=953)
    lines = written(results_tables.measures(STUDY, [plants.result("base", spread=0.01), part]))
    assert [line for line in lines if line.startswith("#")] == [
        "### in_domain dev",
        "### in_domain test",
        "### out_of_domain test",
    ]
    assert "| base | 0.5000 ± 0.0100 | – | – | – | – | – |" in lines
    assert "| late-random | 0.6000\\* | – | – | – | – | – |" in lines
    assert "Relevant from grade 1. \\*: on 100 of 953 queries." in lines


def test_spaces_have_their_figures_and_correlations():
    sample = Sample("in_domain", "test", "RR@10", 1, 1, 1, 1, 1, 1)
    geometry = {"base": {"effective_rank": 1234.0, "linear_cka_to_base": None}, "x": {"effective_rank": 0.12345}}
    found = Diagnosis(sample, geometry, {"base": {"tied_at_10": 2.0}}, {"effective_rank": Correlation(0.5, 0.2, 6)})
    lines = written(space_table.geometry(found))
    assert lines[0] == "| variant | effective rank | linear CKA with the base |"
    assert lines[2:6] == [
        "| base | 1,234 | – |",
        "| x | 0.1235 | – |",
        "| *ρ with the change* | 0.5 | – |",
        "| *p* | 0.2 | – |",
    ]
    assert "over 6 fine-tuned variants" in lines[-1]
    assert written(space_table.numerical_checks(found))[2] == "| base | 2 |"
    empty = Diagnosis(sample, {}, {}, {})
    assert space_table.geometry(empty) == space_table.projection({"variants": {}}) == "No variant has vectors."


def test_collections_have_sizes_sources_and_what_was_dropped():
    sizes = {"test": SplitSizes(9, 1234, 3, 1.0, 5.0)}
    one = Card({"scipy": "1.17.1"}, 1707, sizes, 10.0, {"too short": 4533, "never": 0}, {}, "f" * 64)
    other = Card({"x": "0123456789abcdef"}, 5, {}, 1.0, {}, {"odd": 1}, "f" * 64)
    lines = written(collections_table.table({"mine": one, "theirs": other}))
    assert "| mine | 1,707 | test | 9 | 1,234 | 3 |" in lines and "- theirs was read from x 0123456789ab." in lines
    assert lines[-2:] == ["| dropped | too short | 4,533 | – |", "| noted | odd | – | 1 |"]


def test_costs_are_means_over_seed_runs_and_a_resumed_training_has_no_time():
    recorded = [
        {"stage": "train", "name": f"a.seed-{seed}", "train_seconds": 10.0 * seed, "peak_rss_mb": 100, "machine": "m",
         "gpu_mean_percent": 40.0 * seed} for seed in (1, 2)
    ]  # fmt: skip
    recorded += [{"stage": "train", "name": "a.b.seed-1", "train_seconds": 999.0, "peak_rss_mb": 1}]
    recorded += [{"stage": "train", "name": "b.seed-1", "train_seconds": 7.0, "peak_rss_mb": 50, "resumed": True}]
    recorded += [{"stage": "encode", "name": "a.in_domain.seed-1", "docs_per_second": 80.4, "machine": "n"}]
    recorded += [{"stage": "rerank", "name": "b", "pairs_per_second": 12.0}]
    figures = costs_table.by_variant({"a": log([0.5]), "b": log([0.5])}, recorded, "in_domain")
    assert figures["seconds"] == {"a": 15.0} and figures["memory"] == {"a": 100.0, "b": 50.0}
    assert figures["busy"] == {"a": 60.0} and figures["rate"] == {"a": 80.4} and figures["pairs"] == {"b": 12.0}
    table = costs_table.table(figures, {"a": "+1.0", "b": "–"})
    assert table.heads[:4] == ["variant", "change in domain, %", "weights trained", "training steps"]
    assert "GPU memory in training, MB" not in table.heads
    assert table.lines[1] == ["b", "–", "5", "2", "–", "50", "–", "12", "–"]
    assert costs_table.machines(recorded) == ["m", "n"]
    assert written(costs_table.everything(recorded[-1:]))[2] == "| rerank | b | pairs_per_second 12.0 |"
