"""Outputs are whole or absent, and unfinished work has one owner."""
import errno
import os
import subprocess
import sys

import pytest

from stages.core import scratch
from stages.core.errors import UserError
from stages.core.files import publish


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


def test_a_mistake_ends_a_process_with_its_line_and_a_code_that_is_not_zero():
    code = "from stages.core.errors import UserError; raise UserError('params.yaml: lora.rank: too much')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "params.yaml: lora.rank: too much\n"


def test_two_at_the_same_work_is_refused_and_a_failure_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    with scratch.workspace("train", "abc") as work:
        with pytest.raises(UserError, match="another process"):
            with scratch.workspace("train", "abc"):
                pass
    with pytest.raises(ValueError), scratch.workspace("train", "abc") as work:
        (work / "kept").touch()
        raise ValueError
    with scratch.workspace("train", "abc") as work:
        assert (work / "kept").exists()
    assert not list((tmp_path / "train").iterdir())
