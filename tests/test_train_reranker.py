"""The verb train-reranker: killed work ends with the bytes of undisturbed work; no lesson, no change."""
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

from stages.lib import cross_encoding

TUNES = {"cross-adamw": {"kind": "full", "lr": 0.001},
         "cross-lora": {"kind": "lora", "lr": 0.001, "optimizer": "lion", "rank": 2, "alpha": 4,
                        "modules": ["query", "value"], "dropout": 0.1}}
FIT = {"batch": 4, "epochs": 10, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
FITS = {"pairs": {"loss": {"kind": "pairs"}, **FIT},
        "lists": {"loss": {"kind": "lists"}, "stop": 9, "schedule": "cosine", **FIT}}
ROWS = {"cross-full": ("cross-adamw", "random", "pairs"), "cross-lists": ("cross-lora", "random", "lists"),
        "cross-none": ("none", "none", "none")}


@pytest.fixture(scope="module")
def study(tiny_model, tmp_path_factory) -> Path:
    """A folder with params.yaml, a body in start/, and triplets of 24 queries."""
    folder = tmp_path_factory.mktemp("study")
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    rows = {name: {"start": "cross", "tune": tune, "triplets": triplets, "fit": fit, "first": "base"}
            for name, (tune, triplets, fit) in ROWS.items()}
    blocks |= {**TUNES, "rerankers": rows, "fits": {**blocks["fits"], **FITS}}
    blocks["report"]["pairs"] = []
    with open(folder / "params.yaml", "w") as file:
        YAML().dump(blocks, file)
    shutil.copytree(tiny_model, folder / "start")
    (folder / "start/start.json").write_text(json.dumps({"shape": "cross", "tokens": 32, "remote_code": False}))
    (folder / "triplets").mkdir()
    texts = {"anchor": [f"query {at}" for at in range(24)], "positive": [f"found query {at}" for at in range(24)],
             "negative": [f"nothing {at}" for at in range(24)]}
    pq.write_table(pa.table(texts), folder / "triplets/seed-13.parquet")
    return folder


def command(row: str, out: str, start: str = "start") -> list[str]:
    return [sys.executable, "-m", "stages.train_reranker", row, "--start", start, "--triplets", "triplets",
            "--out", out, "--log", f"{out}.json"]


def finished(arguments: list[str], study: Path) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, cwd=study, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


@pytest.mark.parametrize("row, steps", [("cross-full", 120), ("cross-lists", 54)])
def test_killed_training_goes_on_and_ends_with_the_same_bytes(row, steps, study):
    whole = finished(command(row, f"models/{row}"), study)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(command(row, f"again/{row}"), cwd=study, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 300
    while not list(study.glob(".scratch/train-reranker/*/trainer/checkpoint-*/trainer_state.json")):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (study / f"again/{row}").exists()
    assert finished(command(row, f"again/{row}"), study).returncode == 0
    cost = json.loads((study / f"reports/costs/train/{row}.seed-13.json").read_text())
    assert cost["resumed"] and cost["steps"] == steps and cost["pairs_per_second"] > 0
    assert files(study / f"again/{row}") == files(study / f"models/{row}")
    assert (study / f"again/{row}.json").read_text() == (study / f"models/{row}.json").read_text()
    assert not list((study / ".scratch/train-reranker").iterdir())
    log = json.loads((study / f"models/{row}.json").read_text())["copies"][0]["log"]
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
    ours = cross_encoding.score(cross_encoding.load(folder), ["query 3"], ["found query 3"], 64)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert "cross-full, seed 13" in (folder / "README.md").read_text()
    losses = [entry["loss"] for entry in json.loads((study / "models/cross-full.json").read_text())["copies"][0]["log"]]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_a_row_without_a_lesson_is_its_checkpoint_and_needs_a_trained_head(study):
    refused = finished(command("cross-none", "models/cross-none"), study)
    assert refused.returncode == 1 and "no trained head" in refused.stderr and "Traceback" not in refused.stderr
    if not (study / "models/cross-full").exists():
        finished(command("cross-full", "models/cross-full"), study)
    start = "models/cross-full/seed-13"
    assert finished(command("cross-none", "models/cross-none", start), study).returncode == 0
    assert files(study / "models/cross-none/untrained") == files(study / start)
    assert json.loads((study / "models/cross-none.json").read_text()) == {"row": "cross-none", "copies": []}
