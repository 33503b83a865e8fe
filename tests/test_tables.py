"""Tables say what the results say, also where something is missing."""
from stages.reporting import tables
from stages.params.report import Report, Target
from stages.params.variants import Retriever

PLACE = {"corpus": "in_domain", "split": "test", "measure": "RR@10"}
REPORT = Report(base="base", primary=Target(**PLACE), alpha=0.05, margin=2.0, resamples=2000, shown=3)
ROWS = {name: Retriever(start="s", tune="t", triplets="x", fit="f") for name in ("base", "tuned", "absent")}
BASE = {**PLACE, "variant": "base", "value": 0.5, "spread": None, "by_seed_run": {"pretrained": 0.5}}
TUNED = {**PLACE, "variant": "tuned", "value": 0.45, "spread": 0.01, "by_seed_run": {"seed-1": 0.44, "seed-2": 0.46}, "base": 0.5,
         "difference": -0.05, "low": -0.08, "high": -0.02, "better": 3, "worse": 9, "equal": 1, "detectable": 0.04, "verdict": "worse"}


def test_the_first_table():
    table = tables.degradation([BASE, TUNED], REPORT, ROWS, [1, 2])
    assert "| **tuned** | s, t, x, f | 0.4500 ± 0.0100 | -10.0 (-16.0 to -4.0) | 8.0 | 3 / 9 / 1 | worse |" in table
    assert "| **absent** | s, t, x, f | – | – | – | – | – |" in table
    assert "mean ± standard deviation over 2 seeds (1, 2)" in table and "over seeds" in table
    assert table.startswith("| row |") and "One seed" not in table
    assert "One seed (7)" in tables.degradation([BASE], REPORT, ROWS, [7])


def test_training_without_validation_and_a_projection_without_rows():
    copy = {"seed": 1, "steps": 2, "trainable": 5, "total": 10, "changed": 1, "tensors": 2, "log": [{"step": 1, "loss": 3.0}]}
    assert "| tuned | 1 | 2 | 5 | 50.000 | 1 of 2 | 3.000 | 3.000 | – | – | – |" in \
        tables.training({"tuned": {"seed_runs": [copy]}, "base": {"seed_runs": []}}, ROWS)
    assert tables.space({"variants": {}}) == "No row has vectors.\n"
