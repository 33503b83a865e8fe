"""Stages whose command a Ray cluster runs: the dvc.lock of a local run, also when a machine or the driver is killed.

What needs Ray (requirements-ray.txt) is skipped where it is not installed.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML

from stages import check, params, reproduce
from stages.core import on_ray
from stages.core.errors import UserError
from stages.running import driver, lock_file, remote
from stages.running.remote import Remote
from tests import small_study
from tests.conftest import ROOT, environment, run
from tests.plants import blocks, fails, write_params

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)"
)
WORK = """
import os, sys, time
name = sys.argv[1]
with open(f"{name}.pids", "a") as file:
    print(os.getpid(), file=file)
print("threads", os.environ.get("OMP_NUM_THREADS"), "GPUs", repr(os.environ.get("CUDA_VISIBLE_DEVICES")))
for _ in range(1200):
    if os.path.exists("go"):
        break
    time.sleep(0.05)
with open(f"{name}.txt", "w") as file:
    print(name, file=file)
"""


def test_what_computes_goes_to_the_cluster_and_the_rest_stays():
    known = Remote("auto", cpus=2, gpus=0.5, room=12, processes=4)
    going = [
        "train@full-hard",
        "tune@x",
        "encode-interpolated@mix-things",
        "search@base-things",
        "rerank@late",
        "mine@b",
    ]
    assert all(known.takes(name) for name in going)
    assert not any(known.takes(name) for name in ("check", "download@things", "checkpoint@minilm", "evaluate", "page"))
    asked = {
        name: json.loads(known.variables(name, Path("log"))["STAGE_CLUSTER"])
        for name in ("train@x", "encode@x-y", "search@x-y")
    }
    assert {name: (one["cpus"], one["gpus"]) for name, one in asked.items()} == {
        "train@x": (8, 4),
        "encode@x-y": (2, 0.5),
        "search@x-y": (2, 0),
    }


def test_both_places_are_filled_and_a_training_takes_as_many_as_it_has_processes():
    known = Remote("auto", cpus=1, gpus=0, room=3, processes=2)
    run_ = driver.Run(None, None, {}, jobs=1, remote=known, running={0: driver.Job("evaluate", 0)})
    assert driver._has_room(run_, "train@a") and not driver._has_room(run_, "page")
    run_.running[1] = driver.Job("train@a", 1)
    assert driver._has_room(run_, "encode@a-x") and not driver._has_room(run_, "train@b")
    run_.running[2] = driver.Job("encode@a-x", 2)
    assert not driver._has_room(run_, "encode@b-x")
    small = driver.Run(None, None, {}, remote=Remote("auto", cpus=1, gpus=0, room=1, processes=2))
    assert driver._has_room(small, "train@a")


def test_what_a_cluster_cannot_do_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, threads=None)
    with pytest.raises(UserError, match="threads: null is all cores of whichever machine; name a number"):
        remote.found("auto", params.load(), None, None)
    with pytest.raises(UserError, match="--ray local: that would start a cluster for each stage"):
        remote.found("local", params.load(), None, None)
    assert "--gpus is of a cluster's stages; name its address" in fails(reproduce.main, "--gpus", "1")
    assert "--gpus nan: give a number" in fails(reproduce.main, "--ray", "auto", "--gpus", "nan")
    assert "--ray: names no address" in fails(reproduce.main, "--ray", "")
    assert "--dry counts the stages that run at once here" in fails(reproduce.main, "--ray", "auto", "--dry")


def test_devices_of_this_machine_say_nothing_of_a_cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(
        tmp_path,
        index={**blocks()["index"], "precision": "float16"},
        scale={**blocks()["scale"], "training": {"processes": 8}, "search": {"processes": 8}},
    )
    monkeypatch.setattr(check.machine, "cores", lambda: 2)
    asked = []
    monkeypatch.setattr(check, "check_precision", asked.append)
    monkeypatch.setattr(check.processes, "check_devices", asked.append)
    for named in ("_check_source", "_check_splits", "check_measures"):
        monkeypatch.setattr(check, named, lambda *nothing: None)
    study = params.load()
    with pytest.raises(UserError, match="8 are too many for the 2 cores"):
        check.check_scale(study)
    monkeypatch.setenv(on_ray.AWAY, "1")
    check.check_scale(study)
    check._check(study)
    assert not asked
    monkeypatch.delenv(on_ray.AWAY)
    monkeypatch.setattr(check.machine, "cores", lambda: 16)
    check._check(study)
    assert asked == [study, 8]


@pytest.fixture
def repository(tmp_path):
    """Two stages that wait for a file, as a training does that takes long, and one that stays."""
    run("git init -q && git config user.name t && git config user.email t@example.org && dvc init -q", tmp_path)
    write_params(tmp_path, threads=1)
    (tmp_path / "work.py").write_text(WORK)
    stages = {
        "train": {"foreach": ["a", "b"], "do": {"cmd": "python -m work ${item}", "outs": ["${item}.txt"]}},
        "last": {"cmd": "cat a.txt b.txt > last.txt", "deps": ["a.txt", "b.txt"], "outs": ["last.txt"]},
    }
    with open(tmp_path / "dvc.yaml", "w") as file:
        YAML().dump({"stages": stages}, file)
    return tmp_path


def begin(folder: Path, address: str) -> subprocess.Popen:
    """A run on the cluster, once both stages are at work there."""
    command = [sys.executable, "-m", "stages.reproduce", "--ray", address]
    told = environment(PYTHONPATH=str(ROOT))
    process = subprocess.Popen(
        command, cwd=folder, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_until(lambda: process.poll() is not None or len(pids(folder)) == 2)
    assert process.poll() is None, process.communicate()[0]
    return process


def pids(folder: Path) -> list[int]:
    return [int(line) for path in folder.glob("*.pids") for line in path.read_text().split()]


def wait_until(true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@needs_ray
def test_stages_run_on_both_machines_and_one_that_is_lost_begins_again(repository, machines):
    machine = machines.add_node(num_cpus=1)
    raylet = machine.all_processes["raylet"][0].process.pid
    driving = begin(repository, machines.address)
    there = [pid for pid in pids(repository) if raylet in {one.pid for one in psutil.Process(pid).parents()}]
    assert len(there) == 1
    os.kill(raylet, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(there[0]))
    (repository / "go").touch()
    said = driving.communicate(timeout=90)[0]
    assert driving.returncode == 0 and "a machine was lost, another begins again" in said, said
    assert (
        "and 2 on the cluster" in said
        and "train@a" not in str(list((repository / "data/costs").rglob("*")))
        and len(pids(repository)) == 3
    )
    log = (repository / "data/logs/train@a.log").read_text()
    assert "at work on" in log and "threads None GPUs ''" in log and "> python -m work a" in log
    lock = (repository / "dvc.lock").read_text()
    run("rm dvc.lock *.txt && dvc repro --force", repository)
    assert (repository / "dvc.lock").read_text() == lock
    machines.remove_node(machine)


@needs_ray
def test_a_killed_driver_takes_its_stages_with_it(repository, machines):
    machine = machines.add_node(num_cpus=1)
    driving = begin(repository, machines.address)
    driving.kill()
    driving.wait()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids(repository)))
    (repository / "go").touch()
    run(f"python -m stages.reproduce --ray {machines.address}", repository, PYTHONPATH=str(ROOT))
    assert (repository / "last.txt").read_text() == "a\nb\n"
    machines.remove_node(machine)


@needs_ray
def test_a_stage_that_fails_there_says_why_and_no_room_is_one_line(repository, machines):
    (repository / "work.py").write_text("raise SystemExit('Error: corpora.things: no such file')")
    done = run(f"python -m stages.reproduce --ray {machines.address}", repository, False, PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and "train@a failed: corpora.things: no such file" in done.stderr, done.stderr
    write_params(repository, threads=64)
    done = run(f"python -m stages.reproduce --ray {machines.address}", repository, False, PYTHONPATH=str(ROOT))
    assert (
        done.returncode == 1
        and "no machine of the cluster has 64 CPUs, 0 GPUs and 2 GB of memory; lower threads" in done.stderr
    )
    write_params(repository, threads=1)
    done = run("python -m stages.reproduce --ray 127.0.0.1:1", repository, False, PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("Error: --ray 127.0.0.1:1: "), done.stderr
    before = (repository / "params.yaml").read_text()
    done = run("python -m stages.reproduce --ray nowhere -S threads=2", repository, False, PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("Error: --ray nowhere: "), done.stderr
    assert (repository / "params.yaml").read_text() == before


def test_a_study_whose_encoding_has_its_own_actors_keeps_it_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answered = subprocess.CompletedProcess(
        [], 0, '{"address": "auto", "cpus": 1, "gpus": 0.0, "processes": 1, "room": 3}\n', ""
    )
    monkeypatch.setattr(remote.subprocess, "run", lambda *_, **__: answered)
    ray = {"engine": "ray", "address": "auto"}
    for encoding, goes in (({"engine": "local"}, True), ({"engine": "ray"}, True), (ray, False)):
        write_params(tmp_path, threads=1, scale={**blocks()["scale"], "encoding": encoding})
        known = remote.found("auto", params.load(), None, None)
        assert known.takes("encode@base-things") is goes and known.takes("train@full-hard") and known.room == 3


@needs_ray
def test_a_study_whose_machine_is_lost_ends_with_the_hashes_of_a_local_run(studies, tmp_path, machines):
    study = small_study.copied(studies / "whole", tmp_path / "study")
    local = lock_file.outputs((study / "dvc.lock").read_text())
    shutil.rmtree(study / ".dvc/cache")
    shutil.rmtree(study / "data")
    (study / "dvc.lock").unlink()
    machine = machines.add_node(num_cpus=1)
    command = [sys.executable, "-m", "stages.reproduce", "--ray", machines.address, "search@full-hard-things"]
    driving = subprocess.Popen(command, cwd=study, env=environment(), stdout=subprocess.PIPE, text=True)
    log = study / "data/logs/train@full-hard.log"
    deadline = time.monotonic() + 180
    while not (log.exists() and "it/s" in log.read_text()):
        assert driving.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(machine.all_processes["raylet"][0].process.pid, signal.SIGKILL)
    said = driving.communicate(timeout=240)[0]
    assert driving.returncode == 0, said
    ended = lock_file.outputs((study / "dvc.lock").read_text())
    assert "data/runs/full-hard/things" in ended and ended.items() <= local.items()
    machines.remove_node(machine)
