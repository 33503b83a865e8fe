"""Growth along a ladder of starts: planted slopes are found, none is found where none was planted."""
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from studies.saturation import run as saturation_study
from stages import params
from stages.analysis import saturation
from stages.evaluation import significance
from stages.core.errors import UserError
from tests.conftest import ROOT

SEEDS = ["seed-13", "seed-14", "seed-15"]
STEPS = {"untouched": 0, "level-8": 8, "level-16": 16, "level-32": 32, "level-64": 64, "level-128": 128,
         "level-512": 512, "level-random": 512, "blank": 0}
REPORT = SimpleNamespace(alpha=0.05, margin=2.0, resamples=1000)
PLACE = {"split": "test", "known": "dev"}
SHIPPED = YAML(typ="safe").load((ROOT / "studies/saturation/questions.yaml").read_text())
ASKED = {**SHIPPED, "ladder": ["untouched", "level-8", "level-32", "level-128", "level-512"], "beside": ["level-random"],
         "recipes": {"text-full": "the text's loss, full", "text-lora": "the text's loss, LoRA",
                     "code-full": "the code's loss, full", "code-lora": "the code's loss, LoRA"}}


def write(folder, slopes: dict[str, tuple[float, float]], part="in_domain", queries=2000, random=-0.2, seed=0) -> None:
    """Starts that gain 0.02 a doubling of steps; slopes maps a recipe to (change a doubling, noise of a query)."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    lines, cells = [], {}
    for split, count in (("dev", 60), ("test", queries)):
        base = rng.random(count) * 0.3 + 0.3
        same = {"split": split, "query_id": [f"{split}{at:05}" for at in range(count)],
                "cluster": [f"c{at // 2}" for at in range(count)]}
        for level, steps in STEPS.items():
            dose = np.log2(1 + steps)
            start = base + {"level-random": random, "blank": -0.25}.get(level, 0.02 * dose) + rng.normal(0, 0.01, count)
            lines.append(pd.DataFrame({"variant": level, "seed_run": "pretrained", **same, "RR@10": start}))
            cells[level] = {"base": level, "seed_runs": {}}
            for recipe, (slope, noise) in slopes.items() if level != "blank" else ():
                for copy in SEEDS:
                    value = start + slope * dose + rng.normal(0, noise / 10) + rng.normal(0, noise, count)
                    lines.append(pd.DataFrame({"variant": f"{recipe}_{level}", "seed_run": copy, **same, "RR@10": value}))
                cells[f"{recipe}_{level}"] = {"base": level, "seed_runs": {
                    copy: {"cosine_to_base": 0.9, "triplets": f"sha of {copy}"} for copy in SEEDS}}
    pd.concat(lines).to_parquet(folder / f"{part}.parquet")
    levels = {level: {"from": None if not steps else "blank" if level == "level-random" else "untouched",
                      "steps": steps, **({"last_loss": 0.5} if steps else {})} for level, steps in STEPS.items()}
    (folder / f"{part}.json").write_text(json.dumps({
        "part": part, "commit": "f" * 40, "device": "cpu", "levels": levels, "cells": cells,
        "versions": {"torch": "2", "sentence-transformers": "6"}}))


def test_planted_growth_is_found_and_only_where_it_was_planted(tmp_path):
    write(tmp_path, {"text-full": (-0.01, 0.02), "text-lora": (0.0, 0.02), "code-full": (0.01, 0.02),
                     "code-lora": (0.0, 0.6)})
    runs = saturation.read(tmp_path, "in_domain")
    found = {entry["recipe"]: entry
             for entry in saturation.growths(runs, list(ASKED["recipes"]), ASKED, PLACE, REPORT)}
    assert {recipe: entry["verdict"] for recipe, entry in found.items()} == {
        "text-full": "grows", "text-lora": "does not grow", "code-full": "does not grow", "code-lora": "cannot tell"}
    full = found["text-full"]
    assert full["difference"] == pytest.approx(-0.01 * np.log2(513), abs=0.005)
    assert full["a doubling %"] == pytest.approx(100 * -0.01 / 0.45, abs=0.1)
    assert full["low"] < full["difference"] < full["high"] and full["seed_runs"] == 3 and full["clusters"] == 1000
    assert full["changes %"] == pytest.approx([100 * -0.01 * np.log2(1 + STEPS[level]) / 0.45
                                               for level in ASKED["ladder"]], abs=1.5)
    assert full["by known"]["difference %"] == pytest.approx(full["difference %"], abs=2)
    pairs = saturation.less(runs, [["text-lora", "text-full"], ["text-full", "text-lora"], ["code-lora", "code-full"]],
                            ASKED, PLACE, REPORT)
    assert [entry["verdict"] for entry in pairs] == ["grows less", "grows more", "cannot tell"]


@pytest.mark.parametrize("slope, fewest, most", [(0.0, 0, 5), (-0.004, 20, 40)])
def test_forty_studies_find_what_was_planted_as_often_as_they_should(slope, fewest, most):
    """Seeds, queries and clusters all vary; with no slope 5 % may be found, either way."""
    rng, at = np.random.default_rng(3), np.log2([1, 9, 33, 129, 513])
    clusters = np.repeat(np.arange(60), 5)
    hits = 0
    for _ in range(40):
        of_cluster, of_seed = rng.normal(0, 0.05, (5, 1, 60)).repeat(5, axis=2), rng.normal(0, 0.005, (5, 3, 1))
        noise = rng.normal(0, 0.1, (5, 3, 300))
        rise = saturation.growth(slope * at[:, None, None] + of_cluster + of_seed + noise, at)
        hits += significance.change(rise, np.zeros_like(rise), clusters, 0.05, 1000)["p"] < 0.05
    assert fewest <= hits <= most


def test_the_weights_are_those_of_a_line_over_its_whole_range():
    at = np.array([0.0, 1.0, 5.0])
    weights = saturation.weights(at)
    assert weights.sum() == pytest.approx(0) and (weights * (3 + 0.5 * at)).sum() == pytest.approx(0.5 * 5)
    values = np.random.default_rng(0).random(3)
    assert (weights * values).sum() == pytest.approx(5 * np.polyfit(at, values, 1)[0])
    with pytest.raises(UserError, match="alike"):
        saturation.weights(np.ones(3))


@pytest.mark.parametrize("found, verdict", [
    ({"p": 0.01, "difference": -0.1}, "grows"), ({"p": 0.01, "difference": 0.1}, "does not grow"),
    ({"p": 0.2, "low": -0.005}, "does not grow"), ({"p": 0.2, "low": -0.008}, "cannot tell"),
    ({"p": 0.01, "difference": -0.1, "clusters": 1}, "cannot tell")])
def test_does_not_grow_asks_for_more_than_a_large_p(found, verdict):
    found = {"clusters": 9, "difference": -0.001, "low": -0.2, "unseen": 0.003} | found
    assert saturation.grows(found, found["p"], 0.05, 0.01) == verdict


def test_starts_and_rows_are_compared_with_their_own_start_and_with_the_base(tmp_path):
    write(tmp_path, {"text-full": (-0.01, 0.02)}, queries=400)
    runs = saturation.read(tmp_path, "in_domain")
    starts = {start["level"]: start for start in saturation.starts(runs, ASKED, PLACE, REPORT)}
    assert starts["level-512"]["verdict"] == "better" and starts["level-512"]["seed_runs"] == 1
    assert starts["level-random"]["verdict"] == "worse" and "verdict" not in starts["untouched"]
    rows = {row["level"]: row for row in saturation.rows(runs, ASKED, PLACE, REPORT)}
    assert list(rows) == ["untouched", "level-8", "level-32", "level-128", "level-512", "level-random"]
    assert rows["level-512"]["own"]["verdict"] == "worse" and rows["level-512"]["base"]["verdict"] == "better"


@pytest.mark.parametrize("random, verdict", [(-0.1, "better"), (-0.25, "cannot tell")])
def test_a_random_start_that_stayed_where_it_began_is_at_the_floor(tmp_path, random, verdict):
    write(tmp_path, {"text-full": (0.0, 0.02)}, queries=300, random=random)
    found, = saturation.floor(saturation.read(tmp_path, "in_domain"), [["level-random", "blank"]], ASKED, PLACE, REPORT)
    assert found["verdict"] == verdict and found["values"] == pytest.approx([0.45 + random, 0.2, 0.45], abs=0.02)


def test_what_was_not_run_is_not_answered(tmp_path):
    write(tmp_path, {"text-full": (0.0, 0.02)}, queries=100)
    assert saturation.read(tmp_path, "elsewhere") is None
    runs = saturation.read(tmp_path, "in_domain")
    for found in (saturation.growths(runs, ["code-full"], ASKED, PLACE, REPORT),
                  *(judge(runs, [["code-full", "text-full"]], ASKED, PLACE, REPORT)
                    for judge in (saturation.less, saturation.last, saturation.floor))):
        assert [entry["verdict"] for entry in found] == ["not run"]
        assert saturation.answer("growth", found) == "Not run"


def test_rows_of_unlike_triplets_are_refused(tmp_path):
    write(tmp_path, {"text-full": (0.0, 0.02)}, queries=100)
    path = tmp_path / "home.json"
    path.write_text(path.read_text().replace("sha of seed-14", "another", 1))
    with pytest.raises(UserError, match="home.json: the rows of seed-14 learned from 2 draws"):
        saturation.read(tmp_path, "in_domain")


@pytest.mark.parametrize("kind, verdicts, answer", [
    ("growth", ["grows", "grows"], "Yes"), ("growth", ["grows", "not run"], "In 1 of 2"),
    ("growth", ["does not grow", "does not grow"], "No"), ("growth", ["does not grow", "cannot tell"], "Not shown"),
    ("less", ["grows more"], "No"), ("last", ["no difference", "worse"], "No"), ("floor", ["better"], "Yes"),
    ("floor", ["not run"], "Not run")])
def test_answers_are_what_the_verdicts_amount_to(kind, verdicts, answer):
    assert saturation.answer(kind, [{"verdict": verdict} for verdict in verdicts]) == answer


@pytest.mark.parametrize("part", saturation.PARTS)
def test_the_study_we_ship_parses_and_its_questions_name_its_rows(part):
    teach, apply = (saturation._study(part, phase, ROOT) for phase in saturation.PHASES)
    starts = {row: names.checkpoint for row, names in apply.retrievers.items() if names.triplets == "none"}
    assert {*SHIPPED["ladder"], *SHIPPED["beside"], "level-random", "blank"} == set(starts)
    assert {f"{recipe}_{level}" for recipe in SHIPPED["recipes"]
            for level in [*SHIPPED["ladder"], *SHIPPED["beside"]]} == apply.retrievers.keys() - starts
    for row, names in apply.retrievers.items():
        assert names.checkpoint == starts[row.partition("_")[2] or row]
    for level, made in saturation._taught(part, ROOT).items():
        assert apply.checkpoints[level].source == f"folder:{saturation.TAUGHT / level}"
        size = teach.triplets[teach.retrievers[made].triplets].size
        assert level == "level-random" or size == 32 * int(level.removeprefix("level-"))
    for collection in SHIPPED["collections"].values():
        judged = saturation._study(collection["part"], "apply", ROOT).corpora["in_domain"].judged
        assert {collection["split"], collection.get("known", collection["split"])} <= judged.keys()


def test_the_recipes_are_those_of_the_default_study():
    default, apply = params.load(ROOT / "params.yaml"), saturation._study("in_domain", "apply", ROOT)
    for name in ("printed", "coded"):
        assert apply.recipes[name] == default.recipes[name]
    assert apply.tunings["full"] == default.tunings["full"]
    assert apply.triplets["hard"] == default.triplets["hard"]
    assert apply.pools["base"].depth == default.pools["base"].depth


def test_a_wave_reads_only_what_earlier_ones_wrote_and_no_command_is_lost():
    lines = ["python -m stages.check --out data/checked",
             "python -m stages.checkpoint a --out data/checkpoints/a",
             "python -m stages.train x --start data/checkpoints/a --out data/models/x --log reports/training/x.json",
             "python -m stages.checkpoint b --out data/checkpoints/b",
             "python -m stages.train y --start data/checkpoints/b --out data/models/y --log reports/training/y.json",
             "python -m stages.evaluate --models data/models --queries reports/queries.parquet"]
    found = saturation.waves(lines)
    assert found == [lines[:1], [lines[1], lines[3]], [lines[2], lines[4]], lines[5:]]


@pytest.mark.parametrize("phase", saturation.PHASES)
def test_the_script_names_each_stage_once_and_makes_what_the_next_phase_needs(phase, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = saturation.stage_commands("in_domain", phase)
    study = saturation._study("in_domain", phase)
    trained = {re.search(r"train (\S+)", line)[1] for line in lines if "stages.train " in line}
    expected = saturation._taught("in_domain").values() if phase == "teach" else study.retrievers
    assert trained == set(expected)
    text = saturation.script("in_domain", phase, lines)
    assert all(text.count(f"{line}\n") == 1 for line in lines)
    assert params.parse(YAML(typ="safe").load(re.search("params.yaml <<'END'\n(.*?)\nEND\n", text, re.S)[1])) == study
    levels = saturation._taught("in_domain") if phase == "teach" else ()
    assert set(re.findall(r"mv \S+ (\S+);", text)) == {str(saturation.TAUGHT / level) for level in levels}
