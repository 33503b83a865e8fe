"""The saturation study as we ship it: its params files, and the script for a machine without DVC."""

import json
import re

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages import params
from stages.analysis.saturation_questions import Questions
from stages.core import yaml_file
from studies.saturation import phases, run, script
from tests.conftest import ROOT, STUDY

QUESTIONS = yaml_file.read(ROOT / "studies/saturation/questions.yaml", Questions)


@pytest.mark.parametrize("part", phases.PARTS)
def test_questions_and_phases_name_the_same_variants(part):
    first, second = (phases.study(part, phase, ROOT) for phase in phases.PHASES)
    levels = {name: block.checkpoint for name, block in second.retrievers.items() if block.triplets == "none"}
    assert {*QUESTIONS.ladder, *QUESTIONS.beside, "level-random", "blank"} == set(levels)
    assert {
        f"{recipe}_{level}" for recipe in QUESTIONS.recipes for level in [*QUESTIONS.ladder, *QUESTIONS.beside]
    } == second.retrievers.keys() - levels
    for name, block in second.retrievers.items():
        assert block.checkpoint == levels[name.partition("_")[2] or name]
    for level, variant in phases.variants(part, ROOT).items():
        assert second.checkpoints[level].source == f"folder:{phases.LEVELS / level}"
        size = first.triplets[first.retrievers[variant].triplets].size
        assert level == "level-random" or size == 32 * int(level.removeprefix("level-"))


def test_both_phases_share_a_folder_and_no_name():
    """A variant of both is one that neither trains: the script leaves out what is there."""
    first, second = (phases.study("default", phase, ROOT) for phase in phases.PHASES)
    shared = first.retrievers.keys() & second.retrievers.keys()
    assert shared == {"base"} and first.retrievers["base"] == second.retrievers["base"]
    triplets = first.triplets.keys() & second.triplets.keys()
    assert all(first.triplets[name] == second.triplets[name] for name in triplets)


def test_what_is_asked_is_judged():
    for collection in QUESTIONS.collections.values():
        judged = phases.study(collection.part, "recipes", ROOT).corpora["in_domain"].judged
        assert {collection.split, collection.known or collection.split} <= judged.keys()


def test_the_recipes_are_those_of_the_default_study():
    default, own = STUDY, phases.study("default", "recipes", ROOT)
    for name in QUESTIONS.recipes:
        assert own.recipes[name] == default.recipes[name]
    assert own.tunings["full"] == default.tunings["full"] and own.triplets["hard"] == default.triplets["hard"]
    assert own.pools["base"].depth == default.pools["base"].depth


def test_a_wave_reads_only_what_earlier_ones_wrote_and_no_command_is_lost():
    lines = [
        "python -m stages.check --out data/checked",
        "python -m stages.checkpoint a --out data/checkpoints/a",
        "python -m stages.train x --checkpoint data/checkpoints/a --out data/models/x --log reports/training/x.json",
        "python -m stages.checkpoint b --out data/checkpoints/b",
        "python -m stages.train y --checkpoint data/checkpoints/b --out data/models/y --log reports/training/y.json",
        "python -m stages.evaluate --models data/models --queries reports/queries.parquet",
    ]
    assert script.waves(lines) == [lines[:1], [lines[1], lines[3]], [lines[2], lines[4]], lines[5:]]


@pytest.mark.parametrize("phase", phases.PHASES)
def test_the_script_names_each_stage_once_and_makes_what_the_next_phase_needs(phase, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = script.commands("default", phase)
    study = phases.study("default", phase)
    trained = {re.search(r"train (\S+)", line)[1] for line in lines if "stages.train " in line}
    expected = phases.variants("default").values() if phase == "levels" else study.retrievers
    assert trained == set(expected)
    text = script.script("default", phase, lines)
    assert all(text.count(f"{line}\n") == 1 for line in lines)
    assert params.parse(YAML(typ="safe").load(re.search("params.yaml <<'END'\n(.*?)\nEND\n", text, re.S)[1])) == study
    levels = phases.variants("default") if phase == "levels" else ()
    assert set(re.findall(r"mv \S+ (\S+);", text)) == {str(phases.LEVELS / level) for level in levels}


def test_how_the_levels_were_trained_is_kept_from_the_logs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = phases.study("default", "levels")
    for variant in phases.variants("default").values():
        log = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "RR@10": 0.75}]
        seed_run = {"seed": 13, "steps": 2, "trainable": 7, "log": log}
        for folder in ("reports/training", f"data/triplets/{study.retrievers[variant].triplets}"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / f"reports/training/{variant}.json").write_text(json.dumps({"seed_runs": [seed_run]}))
        (tmp_path / f"data/triplets/{study.retrievers[variant].triplets}/seed-13.parquet").write_bytes(b"x")
    levels = run._levels("default", tmp_path)
    assert list(levels) == ["base", "blank", "level-16", "level-64", "level-random"]
    assert levels["base"] == {"trained_from": None, "steps": 0}
    assert levels["level-random"]["trained_from"] == "blank" and levels["level-16"]["trained_from"] == "base"
    assert levels["level-64"]["last_loss"] == 0.375 and levels["level-64"]["validation"] == {2: 0.75}


def test_a_clones_own_study_is_collected_in_the_environment_of_its_run(tmp_path, monkeypatch):
    """The working tree may have gone on to another study by then."""
    monkeypatch.chdir(ROOT)
    clone = tmp_path / "default"
    for name in ("common", "default", "levels", "recipes"):
        text = (ROOT / phases.STUDY / f"{name}.yaml").read_text()
        (clone / phases.STUDY).mkdir(parents=True, exist_ok=True)
        (clone / phases.STUDY / f"{name}.yaml").write_text(text.replace("trained-", "trained-else-"))
    (clone / "params.yaml").write_text(phases.text("default", "recipes", clone).replace("[13, 14, 15]", "[99]"))
    collected = []
    monkeypatch.setattr(run.collecting, "header", lambda *_: {})
    monkeypatch.setattr(run.collecting, "variants", lambda folder, study: collected.append(study) or {})
    monkeypatch.setattr(run.collecting, "per_query", lambda folder, study: None)
    monkeypatch.setattr(run.collecting, "write", lambda *_: None)
    with pytest.raises(FileNotFoundError, match=r"trained-else-\w+.json"):
        run._levels("default", clone)
    monkeypatch.setattr(run, "_levels", lambda part, folder: {})
    run.collect.callback("default", clone, tmp_path / "out", None)
    assert collected[0].seeds[0] == 99
    commands = {}
    monkeypatch.setattr(run, "WORK", tmp_path)
    monkeypatch.setattr(run, "_phase", lambda *_: True)
    ended = run.clones.subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(run.clones.subprocess, "run", lambda command, **how: commands.update(how) or ended)
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    assert run._run("default", None) and commands["env"]["OMP_NUM_THREADS"] != "77" and commands["cwd"] == clone


def test_the_runs_that_we_ship_are_of_the_variants_that_we_ship():
    part = json.loads((ROOT / "reports/saturation/default.json").read_text())
    study = phases.study("default", "recipes", ROOT)
    assert part["variants"].keys() == study.retrievers.keys()
    table = pq.read_table(ROOT / "reports/saturation/default.parquet", columns=["variant"])
    assert set(table["variant"].to_pylist()) == study.retrievers.keys()
    for name, block in study.retrievers.items():
        if recipe := study.recipes[block.recipe]:
            assert part["variants"][name]["loss"] == recipe.loss.model_dump()
