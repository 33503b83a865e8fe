"""Outputs are whole or absent, and unfinished work has one owner."""

import contextlib
import errno
import fcntl
import os
import threading
import time

import pytest

from stages.core import scratch
from stages.core.errors import UserError
from stages.core.files import publish
from tests.conftest import ROOT, run


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out.json"
    with publish(target) as draft:
        draft.write_text("old")
    with pytest.raises(ValueError), publish(target) as draft:
        draft.write_text("half")
        raise ValueError
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["out.json"]


def test_a_full_disk_is_one_line(tmp_path):
    with pytest.raises(UserError, match="out: the disk is full"), publish(tmp_path / "out") as draft:
        draft.mkdir()
        (draft / "part").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not os.listdir(tmp_path)


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "stale").touch()
    with publish(tmp_path / "out") as draft:
        draft.mkdir()
    assert os.listdir(tmp_path) == ["out"] and not os.listdir(tmp_path / "out")


def test_an_error_ends_a_command_with_its_line_and_a_code_that_is_not_zero(tmp_path):
    (tmp_path / "params.yaml").write_text("lora: {kind: lora, alpha: 32}\n")
    done = run("python -m stages.costs --out costs.json", tmp_path, check=False, PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "Error: params.yaml: lora.alpha: was renamed to lora_alpha\n"


def test_two_at_the_same_work_is_refused_and_a_failure_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    monkeypatch.setattr(scratch, "PATIENCE", 0.2)
    with (
        scratch.workspace("train", "abc"),
        pytest.raises(UserError, match="another process"),
        scratch.workspace("train", "abc"),
    ):
        pass
    with pytest.raises(ValueError), scratch.workspace("train", "abc") as work:
        (work / "kept").touch()
        raise ValueError
    with scratch.workspace("train", "abc") as work:
        assert (work / "kept").exists()
    assert not list((tmp_path / "train").iterdir())


def test_a_finished_workspace_is_whole_or_gone(tmp_path, monkeypatch):
    """A kill while it is removed must not leave a part of it that the next run takes for finished work."""
    monkeypatch.setattr(scratch, "ROOT", tmp_path)

    def killed(folder, **_):
        if folder.exists():
            (folder / "model").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(scratch.shutil, "rmtree", killed)
        with scratch.workspace("train", "abc") as work:
            (work / "model").touch()
            (work / "finished.json").touch()
    with scratch.workspace("train", "abc") as work:
        assert not list(work.iterdir())
    assert not list((tmp_path / "train").iterdir())


def test_what_a_killed_run_had_started_has_a_moment_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    ending = threading.Event()

    def held() -> None:
        with contextlib.suppress(KeyboardInterrupt), scratch.workspace("tune", "abc") as work:
            (work / "trial").touch()
            ending.set()
            time.sleep(0.5)
            raise KeyboardInterrupt

    orphan = threading.Thread(target=held)
    orphan.start()
    ending.wait(10)
    with scratch.workspace("tune", "abc") as work:
        assert (work / "trial").exists()
    orphan.join()


def test_of_two_side_by_side_at_the_same_work_one_waits_and_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    monkeypatch.setenv(scratch.SIDE_BY_SIDE, "1")
    found = []

    def again() -> None:
        with scratch.workspace("encode", "abc") as work:
            found.append(list(work.iterdir()))

    waiting = threading.Thread(target=again)
    with scratch.workspace("encode", "abc") as work:
        (work / "shard").touch()
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive() and not found
    waiting.join(10)
    assert found == [[]] and not list((tmp_path / "encode").iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this machine")
@pytest.mark.parametrize("library", ["python", "numpy", "parquet", "torch"])
def test_a_disk_that_a_library_finds_full_is_the_same_line(library, tmp_path):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    vectors = np.zeros((4096, 8), np.float32)
    save = {
        "python": lambda path: path.write_text("x" * 9999),
        "numpy": lambda path: vectors.tofile(path),
        "parquet": lambda path: pq.write_table(pa.table({"x": np.random.default_rng(0).random(99999)}), path),
        "torch": lambda path: torch.save(torch.from_numpy(vectors), path),
    }[library]
    with pytest.raises(UserError, match="out: the disk is full; free some space"), publish(tmp_path / "out") as draft:
        draft.symlink_to("/dev/full")
        save(draft)
    assert not os.listdir(tmp_path)


def test_an_error_that_is_not_of_the_disk_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="shape"), publish(tmp_path / "out"):
        raise RuntimeError("shape mismatch")


def test_what_nobody_goes_on_with_is_cleared_after_a_week(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = time.time() - scratch.WEEK - 60
    for name in ("train/old", "train/young", "encode/held"):
        (tmp_path / ".scratch" / name).mkdir(parents=True)
        (tmp_path / ".scratch" / name / "part").touch()
    for name in ("old", "young"):
        (tmp_path / f"data/models/.{name}.part").mkdir(parents=True)
    for path in [*tmp_path.glob(".scratch/*/*"), *tmp_path.rglob("part"), *tmp_path.glob("data/models/.*")]:
        if "young" not in str(path):
            os.utime(path, (old, old))
    with open(tmp_path / ".scratch/encode/held.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = scratch.clear(tmp_path / "data")
    assert [line.partition(":")[0] for line in lines] == [".scratch/train/old", f"{tmp_path}/data/models/.old.part"]
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_dir()}
    assert {".scratch/train/young", ".scratch/encode/held", "data/models/.young.part"} < left
    assert not any("old" in name for name in left)
