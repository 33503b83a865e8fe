"""`make reproduce`: several stages at once, on pipelines of shell commands, with everything that can go wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages.params.scale import Encoding
from stages.running import costs, driver, lock_file, machine, schedule
from tests import plants
from tests.conftest import ROOT, run

MEET = "touch {own}; for i in $(seq 200); do test -e {other} && exit 0; sleep 0.05; done; exit 1"
SLOW = "echo $$ > {name}.pid; sleep 60"
DIAMOND = {
    "first": {"cmd": "seq 3 > first.txt", "outs": ["first.txt"]},
    "second": {
        "cmd": "sleep 0.4; cat first.txt > 'second part.txt'",
        "deps": ["first.txt"],
        "outs": ["second part.txt"],
    },
    "third": {
        "cmd": "mkdir third; cp first.txt third/a.txt",
        "deps": ["first.txt"],
        "params": ["x"],
        "outs": ["third"],
    },
    "alone": {"cmd": "echo 1 > alone.txt", "outs": [{"alone.txt": {"cache": False}}]},
    "each": {"foreach": ["a", "b"], "do": {"cmd": "echo ${item} > ${item}.txt", "outs": ["${item}.txt"]}},
    "last": {
        "cmd": "cat 'second part.txt' third/* a.txt b.txt alone.txt > last.txt",
        "deps": ["second part.txt", "third", "a.txt", "b.txt", "alone.txt"],
        "outs": ["last.txt"],
    },
}


@pytest.fixture
def repository(tmp_path):
    run("git init -q && git config user.name t && git config user.email t@example.org && dvc init -q", tmp_path)
    (tmp_path / "params.yaml").write_text("# a comment\nx: 1\ny: [1, 2]\n")
    return tmp_path


def write(folder: Path, stages: dict) -> None:
    with open(folder / "dvc.yaml", "w") as file:
        YAML().dump({"stages": stages}, file)


def reproduce(
    folder: Path, options: str = "--jobs 2", check: bool = True, **environment
) -> subprocess.CompletedProcess:
    return run(f"python -m stages.reproduce {options}", folder, check, PYTHONPATH=str(ROOT), **environment)


def begin(folder: Path, ready: str) -> subprocess.Popen:
    """A run in the background that has come to where a file is there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "stages.reproduce", "--jobs", "2"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: (folder / ready).exists() and (folder / ready).read_text())
    return process


def wait_until(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.glob("*.pid")]


@st.composite
def graphs(draw):
    """Up to nine stages, each after those that it needs, with whole seconds."""
    names = [f"s{at}" for at in range(draw(st.integers(1, 9)))]
    needs = {name: draw(st.sets(st.sampled_from(names[:at]))) if at else set() for at, name in enumerate(names)}
    return needs, {name: float(draw(st.integers(0, 9))) for name in names}


@given(graphs(), st.integers(1, 4))
def test_the_time_of_a_schedule_is_within_its_bounds(graph, jobs):
    """Graham's bounds for list scheduling; one place takes the sum."""
    needs, seconds = graph
    took, whole, longest = (
        schedule.makespan(needs, seconds, jobs),
        sum(seconds.values()),
        max(schedule.remaining(needs, seconds).values()),
    )
    assert max(longest, whole / jobs) <= took + 1e-9
    assert took <= whole / jobs + (1 - 1 / jobs) * longest + 1e-9
    assert schedule.makespan(needs, seconds, 1) == pytest.approx(whole)


@given(graphs())
def test_downstream_is_what_can_be_reached(graph):
    needs, _ = graph
    for name in needs:
        reached: set[str] = set()
        while more := {one for one in needs if needs[one] & (reached | {name})} - reached:
            reached |= more
        assert schedule.downstream(needs, [name]) == reached


def test_several_at_once_leave_the_dvc_lock_of_one_after_the_other(repository):
    write(repository, DIAMOND)
    run("dvc repro", repository)
    expected = (repository / "dvc.lock").read_text()
    for jobs in (1, 3):
        run("rm -r dvc.lock .dvc/cache *.txt third", repository)
        done = reproduce(repository, f"--jobs {jobs}")
        assert "7 of 7 stages to run" in done.stdout and len(re.findall(r"^\[\d/7\]", done.stdout, re.MULTILINE)) == 7
        assert (repository / "dvc.lock").read_text() == expected
    assert "Nothing to run" in reproduce(repository).stdout
    assert "up to date" in run("dvc repro", repository).stdout


def test_a_change_runs_what_it_touches_and_stops_where_bytes_come_out_equal(repository):
    write(repository, DIAMOND)
    reproduce(repository)
    run("git add . && git commit -qm run", repository)
    lock = (repository / "dvc.lock").read_text()
    (repository / "second part.txt").unlink()
    assert "second taken from DVC's cache" in reproduce(repository).stdout
    done = reproduce(repository, "--jobs 2 -S x=2")
    assert re.findall(r"\[\d/\d\] (\w+)", done.stdout) == ["third", "last"] and "last unchanged" in done.stdout
    assert (repository / "params.yaml").read_text() == "# a comment\nx: 2\ny:\n- 1\n- 2\n"
    run("git checkout -q params.yaml && rm alone.txt", repository)
    assert re.search(r"alone \d s", reproduce(repository).stdout)
    assert (repository / "dvc.lock").read_text() == lock


def test_entries_are_written_as_dvc_writes_them():
    text = (ROOT / "dvc.lock").read_text()
    entries = lock_file.entries(text)
    assert entries and lock_file.text(entries) == text
    for name, content in list(YAML(typ="safe").load(text)["stages"].items())[::8]:
        assert lock_file.entry(name, content) == {name: entries[name]}


def test_stages_run_side_by_side(repository):
    write(
        repository,
        {
            one: {"cmd": f"{MEET.format(own=one, other=other)}", "outs": [one]}
            for one, other in (("left", "right"), ("right", "left"))
        },
    )
    reproduce(repository)


def test_a_failing_stage_stops_those_that_need_it_and_no_others(repository):
    broken = {"cmd": "echo 'Error: x: is wrong' >&2; echo later; exit 3", "outs": ["broken.txt"]}
    after = {"cmd": "cp broken.txt after.txt", "deps": ["broken.txt"], "outs": ["after.txt"]}
    warning = {"cmd": "echo 'warning: odd' >&2; sleep 0.5; echo 1 > slow.txt", "outs": ["slow.txt"]}
    later = {"cmd": "echo 'warning: odd' >&2; cp slow.txt later.txt", "deps": ["slow.txt"], "outs": ["later.txt"]}
    write(repository, {"broken": broken, "after": after, "slow": warning, "later": later})
    done = reproduce(repository, check=False)
    assert done.returncode == 1 and (repository / "later.txt").exists() and not (repository / "after.txt").exists()
    assert "broken failed: x: is wrong (data/logs/broken.log)" in done.stderr
    assert "1 of 4 stages failed; 1 that need it did not run" in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("warning: odd") == 1
    write(
        repository,
        {"broken": {**broken, "cmd": "echo 1 > broken.txt"}, "after": after, "slow": warning, "later": later},
    )
    assert re.findall(r"\] (\w+)", reproduce(repository).stdout) == ["broken", "after"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_ends_what_it_started_and_goes_on_later(number, repository):
    slow = {name: {"cmd": f"{SLOW.format(name=name)}", "outs": [f"{name}.txt"]} for name in ("left", "right")}
    write(repository, {**slow, "quick": {"cmd": "echo 1 > quick.txt", "outs": ["quick.txt"]}})
    process = begin(repository, "left.pid")
    wait_until(lambda: len(pids(repository)) == 2)
    process.send_signal(number)
    said = process.communicate(timeout=10)[0].decode()
    assert process.returncode == 128 + number and "run again to go on" in said
    assert not any(map(psutil.pid_exists, pids(repository)))
    write(repository, {**{name: {**slow[name], "cmd": f"echo 1 > {name}.txt"} for name in slow}})
    reproduce(repository)


def test_a_killed_run_leaves_nobody_behind_and_the_next_one_goes_on(repository):
    slow = {"cmd": SLOW.format(name="slow"), "outs": ["slow.txt"]}
    write(repository, {"first": {"cmd": "echo 1 > first.txt", "outs": ["first.txt"]}, "slow": slow})
    process = begin(repository, "slow.pid")
    process.kill()
    process.wait()
    wait_until(lambda: not psutil.pid_exists(pids(repository)[0]))
    write(
        repository,
        {"first": {"cmd": "echo 1 > first.txt", "outs": ["first.txt"]}, "slow": {**slow, "cmd": "echo 1 > slow.txt"}},
    )
    assert "slow" in reproduce(repository).stdout


@pytest.mark.parametrize("held", [b"{", None])
def test_what_killed_processes_held_is_free_again(held, repository):
    """A list cut off, and one that names a process number that another process has by now."""
    user = {"pid": os.getpid(), "cmd": f"{ROOT}/stages/reproduce.py --jobs 2"}
    write(repository, {"first": DIAMOND["first"]})
    (repository / ".dvc/tmp/rwlock").write_bytes(
        held or json.dumps({"read": {}, "write": {str(repository / "first.txt"): user}}).encode()
    )
    reproduce(repository)


def test_a_killed_stage_fails_alone_and_takes_its_command_with_it(repository):
    write(
        repository,
        {
            "slow": {"cmd": SLOW.format(name="slow"), "outs": ["slow.txt"]},
            "other": {"cmd": "sleep 2; echo 1 > other.txt", "outs": ["other.txt"]},
        },
    )
    process = begin(repository, "slow.pid")
    psutil.Process(pids(repository)[0]).parent().kill()
    said = process.communicate(timeout=20)[0].decode()
    assert process.returncode == 1 and "1 of 2 stages failed" in said and "other 2 s" in said
    assert not psutil.pid_exists(pids(repository)[0])


def test_a_dvc_lock_that_a_killed_process_cut_is_brought_back(repository):
    write(repository, DIAMOND)
    reproduce(repository)
    whole = (repository / "dvc.lock").read_bytes()
    for left in (0, 300):
        (repository / "dvc.lock").write_bytes(whole[:left])
        done = reproduce(repository)
        assert "brought back" in done.stderr and "Nothing to run" in done.stdout
        assert (repository / "dvc.lock").read_bytes() == whole


def test_a_setting_that_is_refused_leaves_params_yaml_as_it_was(repository):
    wrong = "echo 'Error: x: is negative; git restore it' >&2; exit 1"
    refuse = f"if grep -q 'x: -1' params.yaml; then {wrong}; fi; echo 1 > checked"
    write(repository, {"check": {"cmd": refuse, "params": ["x"], "outs": ["checked"]}, **DIAMOND})
    reproduce(repository)
    before = (repository / "params.yaml").read_text()
    done = reproduce(repository, "-S x=-1", check=False)
    assert done.returncode == 1 and "x: is negative; params.yaml is as it was" in done.stderr
    assert "z" in reproduce(repository, "-S z=1", check=False).stderr
    assert "several" in reproduce(repository, "-S x=1,2", check=False).stderr
    assert (repository / "params.yaml").read_text() == before
    assert not {"third", "last"} & set(re.findall(r"\] (\w+)", reproduce(repository).stdout))


def test_a_preview_says_what_would_run_and_changes_nothing(repository):
    write(repository, DIAMOND)
    assert "7 of 7 stages would run" in reproduce(repository, "--dry --jobs 2").stdout
    reproduce(repository)
    before = {path: path.read_bytes() for path in repository.iterdir() if path.is_file()}
    said = reproduce(repository, "--dry --jobs 1 -S x=2").stdout
    assert re.findall(r"^(\w+)  .* s .* MB$", said, re.MULTILINE) == ["third", "last"] and "2 of 7 stages" in said
    assert "Nothing would run" in reproduce(repository, "--dry --jobs 2").stdout
    assert {path: path.read_bytes() for path in repository.iterdir() if path.is_file()} == before


def test_a_preview_of_targets_counts_what_they_need_and_a_wrong_one_is_named_as_it_was_given(repository):
    write(repository, DIAMOND)
    for target, count in {"second": 2, "each": 2, "each@a": 1, "dvc.yaml:third": 2, "dvc.yaml": 7}.items():
        assert f"{count} of {count} stages would run" in reproduce(repository, f"--dry --jobs 2 {target}").stdout
    for wrong in ("secnod", "each@c", "other/dvc.yaml"):
        said = reproduce(repository, f"--dry {wrong}", check=False).stderr
        assert said.startswith("Error: ") and wrong in said and ".dvc/" not in said and said.count("\n") == 1


def test_a_run_of_a_target_does_not_end_with_an_answer_that_is_there_from_before(repository):
    answer = """mkdir -p reports; echo '{"brief": ["One came out better"]}' > reports/answer.json"""
    report = {"cmd": answer, "outs": [{"reports/answer.json": {"cache": False}}]}
    write(repository, {"report": report, "other": {"cmd": "echo 1 > 1", "outs": ["1"]}})
    plants.write_params(repository)
    assert "One came out better" in reproduce(repository).stdout
    said = reproduce(repository).stdout
    assert "Nothing to run" in said and "One came out better" in said
    said = reproduce(repository, "--jobs 2 other").stdout
    assert "better" not in said and said.endswith("of an earlier run; make reproduce writes them\n")


@pytest.mark.parametrize("option", ["--jobs 2", "--dry"])
def test_an_edit_that_dvc_refuses_is_told_in_the_words_of_the_study(option, repository):
    write(repository, DIAMOND)
    (repository / "params.yaml").write_text("x: [1\nb: 2\n")
    assert "Error: params.yaml: not valid YAML" in reproduce(repository, option, check=False).stderr


def test_make_passes_each_value_as_one_word_and_force_only_where_it_is_1():
    said = run("make -n -o .venv/ready study COLLECTION=x HOURS='8 h' RAY='a b' FORCE=0", ROOT).stdout
    assert '--hours "8 h"' in said and '--ray "a b"' in said and "--force" not in said
    assert "--force" in run("make -n -o .venv/ready study COLLECTION=x FORCE=1", ROOT).stdout


def test_expected_seconds_are_a_stages_own_or_those_of_its_kind():
    known = {"train@a": 10.0, "train@b": 20.0, "encode@a-x": 4.0}
    expected = costs.expected(["train@a", "train@c", "encode-interpolated@m-x", "page"], known)
    assert expected == {"train@a": 10.0, "train@c": 15.0, "encode-interpolated@m-x": 4.0, "page": None}


def test_jobs_are_what_cores_memory_and_gpus_allow(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.setattr(machine, "free_memory", lambda: 21.0)
    monkeypatch.setattr(machine, "gpus", dict)
    assert (machine.jobs(1), machine.jobs(4), machine.jobs(32)) == (10, 4, 1)
    assert (machine.jobs(1, 2), machine.jobs(4, 2), machine.jobs(1, 16)) == (5, 2, 1)
    monkeypatch.setattr(machine, "gpus", lambda: {"0": 24.0, "1": 6.0})
    assert (machine.jobs(1), machine.jobs(1, 2), machine.jobs(1, 4)) == (4, 2, 1)


def test_cores_and_memory_of_a_container_count(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CONTROL_GROUP", tmp_path)
    for name, text in {"cpu.max": "100000 100000", "memory.max": str(2**30), "memory.current": str(2**29)}.items():
        (tmp_path / name).write_text(text)
    assert machine.cores() == 1 and machine.free_memory() == pytest.approx(0.5)
    (tmp_path / "cpu.max").write_text("max 100000")
    assert machine.cores() == len(os.sched_getaffinity(0))


def test_each_job_sees_one_gpu_where_there_are_several(monkeypatch, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf '0, GPU-a, 81920\\n1, GPU-b, 24576\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine.metadata, "version", lambda name: "2.13.0")
    assert machine.gpus() == {"0": 80.0, "1": 24.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    assert machine.gpus() == {"GPU-b": 24.0}
    monkeypatch.setattr(machine.metadata, "version", lambda name: "2.13.0+cpu")
    assert machine.gpus() == {}
    several = driver.Run(None, None, {}, gpus=("0", "1"), running={1: driver.Job("a", 1, gpu="0")})
    assert driver._free_gpus(several, "train@x") == "1"
    assert driver._free_gpus(driver.Run(None, None, {}, gpus=("0",)), "train@x") is None
    several.processes = 2
    assert driver._free_gpus(several, "train@x") == "1,0" and driver._free_gpus(several, "encode@x") == "1"
    several.encoders = Encoding(engine="ray", actors=4, gpus_per_actor=0.5).own_gpus
    assert driver._free_gpus(several, "encode@x") == "1,0" and driver._free_gpus(several, "search@x") == "1"
