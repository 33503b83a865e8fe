"""One training by two processes against the same by one: the loss of each step, what is written, and a kill."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages import params
from stages.core.errors import UserError
from stages.models import late_interaction as late_model
from stages.models.model_folder import Description
from stages.params.report import ValidationCurve
from stages.training import loop, processes, retriever, searched
from stages.training.reranker import cross_encoder, late_interaction
from stages.training.seed_runs import SeedRun
from tests.conftest import ROOT
from tests.plants import blocks, contents, seed_run, two_towers

ROWS = 23  # three batches of 6, and one of 5, which two processes cannot share evenly
WORDS = ["red", "old", "tall", "small", "green", "boat", "house", "river", "tree", "stone", "road", "bird", "cloud"]
IN_BATCH = {"loss": {"kind": "in-batch", "hard_negatives": True}}
FULL = {"kind": "full", "lr": 0.003}
LORA = {"kind": "lora", "lr": 0.01, "rank": 2, "lora_alpha": 4, "modules": ["query"], "dropout": 0.0}
SCHEDULED = {"init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 1, "total_step": 8}
ADALORA = {"kind": "peft", "lr": 0.01, "method": "adalora", "modules": ["query", "value"], **SCHEDULED}
OF_RETRIEVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "triplet": ({"loss": {"kind": "triplet", "distance": "cosine", "margin": 0.2}}, FULL),
    "in-batch": (IN_BATCH, FULL),
    "in-batch, cached": ({"loss": {**IN_BATCH["loss"], "mini_batch": 2}}, FULL),
    "contrastive": ({"loss": {"kind": "contrastive", "margin": 0.5}}, FULL),
    "margin-mse": ({"loss": {"kind": "margin-mse", "scale": 0.1}}, FULL),
    "distill-kl": (
        {"loss": {"kind": "distill-kl", "temperature": 0.1, "teacher_temperature": 1.0, "contrastive": 0.5}},
        FULL,
    ),
    "held to weights": ({**IN_BATCH, "regularizer": {"kind": "weights", "weight": 1.0}}, FULL),
    "held to scores": ({**IN_BATCH, "regularizer": {"kind": "scores", "weight": 1.0}}, FULL),
    "held to outputs": ({**IN_BATCH, "regularizer": {"kind": "outputs", "weight": 1.0}}, FULL),
    "lora": (IN_BATCH, LORA),
    "adalora": (IN_BATCH, ADALORA),
    "two towers": (IN_BATCH, FULL),
    "until no better": ({**IN_BATCH, "select": "best", "patience": 1, "epochs": 8}, FULL),
}
OF_CROSS_ENCODERS = {
    "pointwise": ({"loss": {"kind": "pointwise"}}, FULL),
    "listwise": ({"loss": {"kind": "listwise"}}, FULL),
    "margin-mse of a cross-encoder": ({"loss": {"kind": "margin-mse", "scale": 0.1}}, FULL),
}
OF_LATE_INTERACTION = {
    "late interaction": (IN_BATCH, FULL),
    "late interaction, cached": ({"loss": {**IN_BATCH["loss"], "mini_batch": 2}}, FULL),
}
CASES = [*OF_RETRIEVERS, *OF_CROSS_ENCODERS, *OF_LATE_INTERACTION]
Planned = tuple[SeedRun, Any, Any]


def sentence(draw: np.random.Generator) -> str:
    return " ".join(draw.choice(WORDS, int(draw.integers(2, 9))))


@pytest.fixture(scope="module")
def triplets(tmp_path_factory) -> Path:
    """Triplets of different texts with two negatives and a teacher's scores of them, and a validation sample."""
    draw, rows = np.random.default_rng(1), range(ROWS)
    names = ("anchor", "positive", "negative", "negative_2")
    texts = {name: [f"{sentence(draw)} {name[:3]} {row}" for row in rows] for name in names}
    scored = ("positive_score", "negative_score", "negative_score_2")
    folder = tmp_path_factory.mktemp("triplets")
    pq.write_table(pa.table(texts | {name: draw.normal(size=ROWS) for name in scored}), folder / "seed-3.parquet")
    (folder / "validation").mkdir()
    queries = {"text": texts["anchor"][:8], "relevant": [[str(at)] for at in range(8)]}
    pq.write_table(pa.table(queries), folder / "validation/queries.parquet")
    passages = {"doc_id": [str(at) for at in rows], "text": texts["positive"]}
    pq.write_table(pa.table(passages), folder / "validation/passages.parquet")
    return folder / "seed-3.parquet"


@pytest.fixture(scope="module")
def models(tiny_model, tiny_cross, tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of all kinds without dropout, and the tiny model with it as "dropping"."""
    folder = tmp_path_factory.mktemp("models")
    made = {"one tower": _steady(tiny_model, folder / "one"), "cross": _steady(tiny_cross, folder / "cross")}
    made["two towers"] = two_towers(made["one tower"], folder / "two")
    shutil.copytree(made["one tower"], folder / "late")
    late_model.build(folder / "late", Description("late-interaction", tokens=32, query_tokens=8, dimension=16))
    return {**made, "late": folder / "late", "dropping": tiny_model}


def _steady(model: Path, folder: Path) -> Path:
    """A copy of a model without dropout."""
    shutil.copytree(model, folder)
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        if "hidden_dropout_prob" in config:
            config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
            path.write_text(json.dumps(config))
    return folder


def planned(models: dict[str, Path], triplets: Path) -> dict[str, Planned]:
    """Each case as a seed run of one epoch, where it says no more, and the functions that train it."""

    def of(name: str, model: str, recipe: dict[str, Any], tuning: dict[str, Any]) -> SeedRun:
        curve = ValidationCurve(queries=1, passages=1, every=2 if "patience" in recipe else 100, early=[])
        known = {"batch": 6, "epochs": 1, **recipe}
        return seed_run(models[model], tuning, known, triplets, variant=name, curve=curve)

    made: dict[str, Planned] = {}
    for name, case in OF_RETRIEVERS.items():
        model = "two towers" if name == "two towers" else "one tower"
        made[name] = of(name, model, *case), retriever.prepare, retriever.deployed
    for name, case in OF_CROSS_ENCODERS.items():
        made[name] = of(name, "cross", *case), cross_encoder.prepare, cross_encoder.deployed
    for name, case in OF_LATE_INTERACTION.items():
        made[name] = of(name, "late", *case), late_interaction.prepare, late_interaction.deployed
    return made


def ends_at_two(curve: dict[int, float]) -> bool:
    return max(curve) >= 2


def dropping(models: dict[str, Path], triplets: Path) -> SeedRun:
    """A seed run of two processes with dropout, long enough to be killed."""
    recipe = {**IN_BATCH, "batch": 6, "epochs": 3}
    return seed_run(models["dropping"], FULL, recipe, triplets, variant="dropping", processes=2)


def train_all(plans: dict[str, Planned], folder: Path) -> None:
    """Train each case in a folder of its name: alone, or as one of the processes that share each batch."""
    for name, (run, prepare, deployed) in plans.items():
        (folder / name).mkdir(exist_ok=True, parents=True)
        loop._train(run, folder / name, prepare, deployed, loop._unchecked)


@pytest.fixture(scope="module")
def trained(models, triplets, tmp_path_factory) -> dict[int, Path]:
    """Number of processes -> a folder of what they trained, all cases of two processes in one launch."""
    made = {number: tmp_path_factory.mktemp(f"by-{number}") for number in (1, 2)}
    plans = planned(models, triplets)
    with chdir(made[1]):
        train_all(plans, made[1])
    run = plans["until no better"][0]
    plans["pruned"] = replace(run, variant="pruned"), partial(searched.prepare, ends=ends_at_two), retriever.deployed
    plans["dropping"] = dropping(models, triplets), retriever.prepare, retriever.deployed
    with chdir(made[2]):
        processes.start(2, "all cases", train_all, plans, made[2])
    return made


def finished(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_two_processes_have_the_losses_of_one(name, trained):
    alone, shared = (finished(trained[number] / name) for number in (1, 2))
    losses = [[entry["loss"] for entry in each["log"] if "loss" in entry] for each in (alone, shared)]
    assert len(losses[0]) >= 4 and len(set(losses[0])) >= 4
    assert losses[1] == pytest.approx(losses[0], rel=1e-4, abs=1e-6)
    for key in ("steps", "read", "mean_batch", "trainable", "changed", "best_step"):
        assert alone.get(key) == shared.get(key), key
    found = [[(entry["step"], entry["lr"]) for entry in each["log"] if "lr" in entry] for each in (alone, shared)]
    assert found[0] == found[1]


def test_one_process_validates_and_writes(trained):
    alone, shared = (finished(trained[number] / "until no better") for number in (1, 2))
    points = [
        [(entry["step"], entry["RR@10"]) for entry in each["log"] if "RR@10" in entry] for each in (alone, shared)
    ]
    assert points[0] == points[1] and alone["steps"] < 32 and alone["best_step"] == shared["best_step"]
    files = [{path.name for path in (trained[number] / "until no better").glob("**/*")} for number in (1, 2)]
    assert files[0] == files[1] and not any("rank" in path.name for path in trained[2].glob("*"))


def test_all_processes_end_where_the_first_one_prunes_a_trial(trained):
    assert finished(trained[2] / "pruned")["steps"] == 2 and (trained[2] / "pruned" / searched.PRUNED).exists()


SCRIPT = """
import sys, pickle
from stages.training import loop, retriever
if __name__ == "__main__":
    run, work = pickle.load(open(sys.argv[1], "rb"))
    loop.train(run, work, retriever.prepare, retriever.deployed)
"""


def test_a_killed_process_ends_training_and_the_next_run_goes_on_to_the_same_bytes(models, triplets, trained, tmp_path):
    """With dropout, whose draws depend on the step and not on what was drawn before."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "run.pickle").write_bytes(pickle.dumps((dropping(models, triplets), work)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "script.py", "run.pickle"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as killed:
        while not list(work.glob("trainer/checkpoint-*/trainer_state.json")):
            assert killed.poll() is None
            time.sleep(0.05)
        os.kill(max(_workers(killed.pid)), signal.SIGKILL)
        said = killed.communicate()[1]
    line = "process 2 of 2 was ended by SIGKILL; run again, and training goes on from its last checkpoint"
    assert said.splitlines()[-1].endswith(f"dropping, seed 3: {line}")
    assert killed.returncode == 1 and not (work / "finished.json").exists() and not _workers(killed.pid)
    with chdir(tmp_path):
        again = {"work": (dropping(models, triplets), retriever.prepare, retriever.deployed)}
        processes.start(2, "again", train_all, again, tmp_path)
    assert json.loads((tmp_path / "data/costs/train/dropping.seed-3.json").read_text())["resumed"]
    resumed, whole = (contents(folder) for folder in (work, trained[2] / "dropping"))
    assert resumed == whole and "model/model.safetensors" in whole


def _workers(parent: int) -> list[int]:
    """The processes that share a training that a process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields, command = path.read_text().rpartition(")")[2].split(), (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


def test_what_processes_cannot_share_is_one_line():
    known = blocks()
    known["scale"] = {**known["scale"], "training": {"processes": 3}}
    said = r"recipes\.printed\.batch: 8 cannot be divided among scale\.training\.processes: 3; name a "
    with pytest.raises(ValidationError, match=said):
        params.parse(known)


def test_fewer_gpus_than_processes_are_one_line(monkeypatch):
    import torch

    monkeypatch.setattr("sentence_transformers.util.get_device_name", lambda: "cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    processes.check_devices(2)
    with pytest.raises(UserError, match=r"^scale\.training\.processes: 4 need a GPU each, and there are 2 here; say 2"):
        processes.check_devices(4)


def test_processes_whose_parent_was_killed_while_they_start_end():
    begin = "import time; from stages.training import processes; processes.start(2, 'x', time.sleep, 600)"
    parent = psutil.Popen([sys.executable, "-c", begin], cwd=ROOT)
    while len(started := parent.children()) < 3:  # with the tracker of what they share
        time.sleep(0.02)
    time.sleep(0.5)  # they know what to do, and load libraries
    parent.kill()
    parent.wait()
    end = time.monotonic() + 60
    while (left := list(filter(_is_alive, started))) and time.monotonic() < end:
        time.sleep(0.1)
    for one in left:
        one.kill()
    assert not left


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # which nobody may collect in a container
    except psutil.NoSuchProcess:
        return False
