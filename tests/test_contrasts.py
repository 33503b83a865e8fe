"""The cause study's questions: planted runs give the planted answers, and what was not run is not answered."""
import json

import numpy as np
import pandas as pd
import pytest

from stages.analysis import contrasts
from stages.core.errors import UserError

SEEDS = ["seed-1", "seed-2", "seed-3"]
SWEEPS = {"small": ["a", "b"], "large": ["c", "d"]}
COLLECTION = {"split": "test", "choose": "dev"}


def write(folder, rows: dict[str, tuple[float, float]], part="in_domain") -> None:
    """rows maps a name to (mean shift from the base, drift)."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    lines, cells = [], {"base": {"base": "base", "seed_runs": {}}}
    for split, queries in (("dev", 60), ("test", 200)):
        base = rng.random(queries) * 0.5 + 0.2
        ids = [f"{split}{at}" for at in range(queries)]
        for row, (shift, drift) in {"base": (0, 0), **rows}.items():
            for copy in SEEDS if row != "base" else ["pretrained"]:
                noise = rng.normal(0, 0.02, queries) if row != "base" else 0
                lines.append(pd.DataFrame({"variant": row, "seed_run": copy, "split": split, "query_id": ids,
                                           "RR@10": base + shift + noise, "cluster": ids}))
            if row != "base":
                cells[row] = {"base": "base", "seed_runs": {copy: {"cosine_to_base": 1 - drift} for copy in SEEDS}}
    pd.concat(lines).to_parquet(folder / f"{part}.parquet")
    (folder / f"{part}.json").write_text(json.dumps({"part": part, "cells": cells}))


def ask(folder, row, against) -> list[dict]:
    runs = contrasts.read(folder, ["in_domain"])
    return contrasts.pairs(runs, {"variant": row, "against": against, "says": "x"}, SWEEPS, COLLECTION, "RR@10", 3)


def test_a_planted_difference_between_two_rows(tmp_path):
    write(tmp_path, {"a": (0.05, 0.1), "b": (-0.1, 0.2)})
    pair, = ask(tmp_path, "b", "a")
    assert (pair["variant"] - pair["against"]).mean() == pytest.approx(-0.15, abs=0.01)
    assert pair["variant"].shape == (3, 200)


def test_the_best_of_a_sweep_is_chosen_on_dev_and_named(tmp_path):
    write(tmp_path, {"a": (0.05, 0.1), "b": (-0.1, 0.2)})
    pair, = ask(tmp_path, "best small", "base")
    assert pair["says"] == "x (a)" and pair["variant"].mean() - pair["against"].mean() == pytest.approx(0.05, abs=0.01)


def test_equal_drift_is_read_between_the_rates(tmp_path):
    write(tmp_path, {"a": (0.0, 0.1), "b": (-0.2, 0.3), "c": (-0.05, 0.15), "d": (-0.05, 0.4)})
    found = ask(tmp_path, "large at drift", "small at drift")
    assert [pair["says"].rpartition(" ")[2] for pair in found] == ["0.812", "0.775", "0.737"]
    for pair, drift in zip(found, (0.188, 0.225, 0.263)):
        assert (pair["variant"] - pair["against"]).mean() == pytest.approx(-0.05 + 0.2 * (drift - 0.1) / 0.2, abs=0.01)
    write(tmp_path, {"a": (0, 0.1), "b": (0, 0.2), "c": (0, 0.3), "d": (0, 0.4)})
    assert ask(tmp_path, "large at drift", "small at drift") == [{"says": "x", "verdict": "no drift in common"}]


def test_what_was_not_run_is_not_answered(tmp_path):
    write(tmp_path, {"a": (0, 0.1)})
    assert contrasts.read(tmp_path, ["elsewhere"]) is None
    assert ask(tmp_path, "z", "a") == [{"says": "x", "verdict": "not run"}] == \
        ask(tmp_path, "large at drift", "small at drift")
    assert contrasts.judge({"expect": "worse"}, []) == "Not run"


def test_parts_that_disagree_about_a_row_are_refused(tmp_path):
    write(tmp_path, {"a": (0, 0.1)})
    write(tmp_path, {"a": (0.1, 0.1)}, part="more")
    with pytest.raises(UserError, match="row 'a' differs"):
        contrasts.read(tmp_path, ["in_domain", "more"])


@pytest.mark.parametrize("expect, verdicts, answer", [
    ("worse", ["worse", "worse"], "Yes"), ("worse", ["worse", "cannot tell"], "In 1 of 2"),
    ("worse", ["worse", "no drift in common"], "In 1 of 2"), ("worse", ["no difference", "not run"], "Not shown"),
    ("worse", ["not run", "not run"], "Not run"), ("worse", ["better", "no difference"], "No"), ("worse", ["no difference", "cannot tell"], "Not shown"),
    ("differ", ["worse", "better"], "Yes"), ("better", ["worse"], "No")])
def test_answers_are_what_the_verdicts_amount_to(expect, verdicts, answer):
    assert contrasts.judge({"expect": expect}, [{"verdict": verdict} for verdict in verdicts]) == answer


def test_the_study_we_ship_parses_and_its_questions_name_its_rows():
    from ruamel.yaml import YAML

    from studies.cause import run as cause
    from stages import params
    from tests.conftest import ROOT
    yaml = YAML(typ="safe")
    rows = {part: params.parse(yaml.load(cause._params(part, root=ROOT))).retrievers for part in cause.PARTS}
    asked = yaml.load((ROOT / "studies/cause/questions.yaml").read_text())
    for collection in asked["collections"].values():
        known = {f"{row}{scored}" for part in collection["parts"] for row in rows[part] for scored in ("", "/euclidean")}
        for question in collection["questions"]:
            for name in (pair[side] for pair in question["pairs"] for side in ("variant", "against")):
                swept = name.removeprefix("best ").removesuffix(" at drift")
                assert set([name] if swept == name else asked["sweeps"][swept]) <= known, name
