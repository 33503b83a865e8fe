"""The verb train-reranker, cross-encoders and late interaction: killed work ends with the bytes of undisturbed work."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from stages.models import cross_encoder
from stages.models import late_interaction, model_folder
from stages.models.model_folder import Description

TUNES = {"cross-adamw": {"kind": "full", "lr": 0.001},
         "cross-lora": {"kind": "lora", "lr": 0.001, "optimizer": "lion", "rank": 2, "alpha": 4,
                        "modules": ["query", "value"], "dropout": 0.1}}
FIT = {"batch": 4, "epochs": 10, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
FITS = {"pairs": {"loss": {"kind": "pairs"}, **FIT},
        "lists": {"loss": {"kind": "lists"}, "stop": 9, "schedule": "cosine", **FIT},
        "margins": {"loss": {"kind": "margins", "scale": 2.0}, **FIT, "epochs": 40},
        "in-batch": {"loss": {"kind": "in-batch", "scale": 20.0, "hard": True}, **FIT}}
ROWS = {"cross-full": ("cross", "cross-adamw", "random", "pairs"),
        "cross-lists": ("cross", "cross-lora", "random", "lists"),
        "cross-margins": ("cross", "cross-adamw", "random", "margins"),
        "cross-none": ("cross", "none", "none", "none"),
        "late-lora": ("late", "cross-lora", "random", "in-batch"),
        "late-none": ("late", "none", "none", "none")}


@pytest.fixture(scope="module")
def study(tiny_model, tmp_path_factory) -> Path:
    """A folder with params.yaml, a body in cross/ and in late/, and triplets of 24 queries that a pool scored."""
    folder = tmp_path_factory.mktemp("study")
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    rows = {name: {"start": start, "tuning": tune, "triplets": triplets, "recipe": fit, "first": "base"}
            for name, (start, tune, triplets, fit) in ROWS.items()}
    blocks |= {**TUNES, "rerankers": rows, "recipes": {**blocks["recipes"], **FITS}}
    blocks["report"]["pairs"] = []
    with open(folder / "params.yaml", "w") as file:
        YAML().dump(blocks, file)
    shutil.copytree(tiny_model, folder / "cross")
    (folder / "cross/architecture.json").write_text(json.dumps({"architecture": "cross-encoder", "tokens": 32}))
    shutil.copytree(tiny_model, folder / "late")
    description = Description("late-interaction", tokens=32, query_tokens=8, dimension=16)
    late_interaction.build(folder / "late", description)
    model_folder.write(description, folder / "late")
    (folder / "triplets").mkdir()
    texts = {"anchor": [f"query {at}" for at in range(24)], "positive": [f"found query {at}" for at in range(24)],
             "negative": [f"nothing {at}" for at in range(24)], "positive_score": [None] * 12 + [3.0] * 12,
             "negative_score": [1.0] * 24}
    pq.write_table(pa.table(texts), folder / "triplets/seed-13.parquet")
    return folder


def command(row: str, out: str, start: str | None = None) -> list[str]:
    return [sys.executable, "-m", "stages.train_reranker", row, "--start", start or ROWS[row][0], "--triplets",
            "triplets", "--out", out, "--log", f"{out}.json"]


def finished(arguments: list[str], study: Path) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, cwd=study, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


@pytest.mark.parametrize("row, steps", [("cross-full", 120), ("cross-lists", 54), ("late-lora", 60)])
def test_killed_training_goes_on_and_ends_with_the_same_bytes(row, steps, study):
    whole = finished(command(row, f"models/{row}"), study)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(command(row, f"again/{row}"), cwd=study, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 300
    while not any(state.read_text().endswith("}\n") for state in study.glob(
            ".scratch/train-reranker/*/trainer/checkpoint-*/trainer_state.json")):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (study / f"again/{row}").exists()
    saved = max(int(state.parent.name.rpartition("-")[2]) for state in study.glob(
        ".scratch/train-reranker/*/trainer/checkpoint-*/trainer_state.json"))
    assert finished(command(row, f"again/{row}"), study).returncode == 0
    cost = json.loads((study / f"reports/costs/train/{row}.seed-13.json").read_text())
    assert cost["resumed"] and cost["steps"] == steps
    pairs = 48 * (9 if row == "cross-lists" else 10) * (steps - saved) / steps
    assert cost["pairs_per_second"] * cost["train_seconds"] == pytest.approx(pairs, rel=0.01)
    assert files(study / f"again/{row}") == files(study / f"models/{row}")
    assert (study / f"again/{row}.json").read_text() == (study / f"models/{row}.json").read_text()
    assert not list((study / ".scratch/train-reranker").iterdir())
    log = json.loads((study / f"models/{row}.json").read_text())["seed_runs"][0]["log"]
    assert len(log) == steps and all({"step", "loss", "lr"} <= set(entry) for entry in log)


def test_a_copy_is_a_cross_encoder_that_the_library_loads(study):
    import torch
    from sentence_transformers import CrossEncoder
    if not (study / "models/cross-full").exists():
        finished(command("cross-full", "models/cross-full"), study)
    folder = study / "models/cross-full/seed-13"
    model = CrossEncoder(str(folder), local_files_only=True)
    assert model.max_seq_length == 32 and model.num_labels == 1
    theirs = model.predict([("query 3", "found query 3")], activation_fn=torch.nn.Identity())
    ours = cross_encoder.score(cross_encoder.load(folder), ["query 3"], ["found query 3"], 64)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert "cross-full, seed 13" in (folder / "README.md").read_text()
    losses = [entry["loss"] for entry in json.loads((study / "models/cross-full.json").read_text())["seed_runs"][0]["log"]]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_margins_teach_the_pools_lead(study):
    assert finished(command("cross-margins", "models/cross-margins"), study).returncode == 0
    model = cross_encoder.load(study / "models/cross-margins/seed-13")
    ours = cross_encoder.score(model, ["query 15"] * 2, ["found query 15", "nothing 15"], 64)
    assert ours[0] - ours[1] == pytest.approx(2 * (3.0 - 1.0), abs=1.0)
    log = json.loads((study / "models/cross-margins.json").read_text())["seed_runs"][0]["log"]
    assert len(log) == 120 and log[0]["loss"] == pytest.approx(16, abs=3) and log[-1]["loss"] < 1


def test_a_late_row_without_a_lesson_is_its_checkpoint(study):
    assert finished(command("late-none", "models/late-none"), study).returncode == 0
    assert files(study / "models/late-none/pretrained") == files(study / "late")
    assert late_interaction.score(late_interaction.load(study / "models/late-none/pretrained"), ["a"], ["a"], 64).shape == (1,)


def test_a_row_without_a_lesson_is_its_checkpoint_and_needs_a_trained_head(study):
    refused = finished(command("cross-none", "models/cross-none"), study)
    assert refused.returncode == 1 and "no trained head" in refused.stderr and "Traceback" not in refused.stderr
    if not (study / "models/cross-full").exists():
        finished(command("cross-full", "models/cross-full"), study)
    start = "models/cross-full/seed-13"
    assert finished(command("cross-none", "models/cross-none", start), study).returncode == 0
    assert files(study / "models/cross-none/pretrained") == files(study / start)
    assert json.loads((study / "models/cross-none.json").read_text()) == {"variant": "cross-none", "seed_runs": []}
