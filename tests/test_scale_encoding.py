"""Encoding by Ray actors: the bytes of a local run, also when a machine, an actor or the driver is killed midway.

What needs Ray (requirements-ray.txt) is skipped where it is not installed.
"""

import ast
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
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import size
from stages import check, encode
from stages.collections import canonical
from stages.core.errors import UserError
from tests.conftest import ROOT
from tests.plants import blocks, write_params

INDEX = {"precision": "float32", "dtype": "float32", "batch_tokens": 64, "block": 4}
PASSAGES = 2400
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)"
)


def test_two_modules_import_ray():
    files = [path for folder in ("stages", "studies", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    importing = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            importing |= {path.relative_to(ROOT).as_posix() for name in names if name.partition(".")[0] == "ray"}
    assert importing == {"stages/core/on_ray.py", "stages/running/away.py"}


def test_a_benchmark_of_more_queries_than_passages_is_refused_before_it_writes(tmp_path):
    with pytest.raises(UserError, match=r"--queries 9: .* name at most 5, --passages"):
        size.main.main(["make", str(tmp_path / "f"), "--passages", "5", "--queries", "9"], standalone_mode=False)
    assert not (tmp_path / "f").exists()


def test_ray_that_is_not_installed_is_one_line_before_hours_are_spent(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, scale=scale({"engine": "ray"}))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    with pytest.raises(
        UserError, match=r"scale.encoding.engine: Ray is not installed; pip install -r requirements-ray"
    ):
        check.check_scale(encode.params.load())


def scale(encoding: dict) -> dict:
    return {**blocks()["scale"], "encoding": encoding}


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model) -> Path:
    """A folder with a model, a collection of 600 shards and the index that a local run makes of it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "things/topics").mkdir(parents=True)
    texts = [f"number {at} stands by the {('river', 'house', 'old boat')[at % 3]}" for at in range(PASSAGES)]
    docs = pa.table([[f"d{at}" for at in range(PASSAGES)], texts], schema=canonical.DOCS)
    pq.write_table(docs, folder / "things/docs.parquet", row_group_size=50)
    queries = [["q0", "q1"], ["number 5", "the river"], ["a", "b"]]
    pq.write_table(pa.table(queries, schema=canonical.TOPICS), folder / "things/topics/test.parquet")
    (folder / "things/docs.json").write_text(json.dumps({"documents": PASSAGES}))
    shutil.copytree(tiny_model, folder / "models/pretrained")
    write_params(folder, index=INDEX)
    done = subprocess.run(command("local"), cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def command(out: str) -> list[str]:
    program = "import sys, runpy; sys.argv.pop(0); runpy.run_module('stages.encode', run_name='__main__')"
    program += "" if out != "local" else "; assert 'ray' not in sys.modules"
    options = ["--model", "models", "--collection", "things", "--out", out]
    return [sys.executable, "-c", program, "stages.encode", "base", "things", *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ray_study(study: Path, address: str, **more: object) -> None:
    shutil.rmtree(study / ".scratch", ignore_errors=True)
    encoding = {"engine": "ray", "address": address, "actors": 2, **more}
    write_params(study, index=INDEX, scale=scale(encoding))


def started(study: Path, out: str, raylet: int, enough: int = 20) -> subprocess.Popen:
    """A driver that runs, once so many shards are done and the machine of a raylet works on one as well."""
    process = subprocess.Popen(command(out), cwd=study, env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 180
    while len(done(study)) < enough or "ray::Worker.do" not in {one.name() for one in actors_of(raylet)}:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


def done(study: Path) -> list[Path]:
    return list(study.glob(".scratch/encode/*/docs.done/0*"))


def index_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def actors_of(raylet: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(raylet).children() if one.name().startswith("ray::Worker")]


@needs_ray
@pytest.mark.parametrize("killed", ["machine", "actor", "driver"])
def test_what_is_killed_in_the_middle_loses_and_doubles_nothing(killed, study, machines):
    machine = machines.add_node(num_cpus=1)
    raylet = machine.all_processes["raylet"][0].process.pid
    ray_study(study, machines.address)
    driver = started(study, killed, raylet)
    actors = [actor.pid for actor in actors_of(raylet)]
    for victim in {"machine": [raylet, *actors], "actor": actors, "driver": [driver.pid]}[killed]:
        os.kill(victim, signal.SIGKILL)
    said = driver.communicate(timeout=180)[1]
    if killed == "driver":
        assert 20 <= len(done(study)) < 600 and not (study / killed).exists()
        again = subprocess.run(command(killed), cwd=study, env=environment(), capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
    else:
        assert driver.returncode == 0 and "an actor was lost" in said, said
    assert index_of(study / killed) == index_of(study / "local")
    machines.remove_node(machine)


@needs_ray
def test_without_a_cluster_ray_starts_one_here_and_ends_it(study):
    ray_study(study, "local")
    done = subprocess.run(command("alone"), cwd=study, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and index_of(study / "alone") == index_of(study / "local"), done.stderr


@needs_ray
def test_no_room_and_what_an_actor_refuses_are_one_line(study, machines):
    ray_study(study, machines.address, cpus_per_actor=64)
    done = subprocess.run(command("refused"), cwd=study, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1 and "scale.encoding: no machine of the cluster has 64 CPUs and 0 GPUs" in done.stderr
    shutil.rmtree(study / ".scratch")
    write_params(
        study, index={**INDEX, "precision": "float16"}, scale=scale({"engine": "ray", "address": machines.address})
    )
    done = subprocess.run(command("refused"), cwd=study, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1 and "Error: precision float16 needs a GPU" in done.stderr.splitlines()[-1]
