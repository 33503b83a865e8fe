"""Unfinished work that survives kill -9: a folder outside DVC's outputs, named by what it is made from.

DVC deletes a stage's outputs before it runs the stage, so shards and trainer checkpoints are here until they are whole.
"""

import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from stages.core.errors import UserError

ROOT = Path(".scratch")
WEEK = 7 * 24 * 3600.0
PATIENCE = 5.0  # seconds in which what a killed run had started ends as well
SIDE_BY_SIDE = "STAGES_SIDE_BY_SIDE"  # set where stages run side by side, of which two may be at equal work


@contextmanager
def workspace(kind: str, fingerprint: str) -> Iterator[Path]:
    """Yield a folder that an interrupted run of the same work left behind, or a new one; removed on success.

    Raises UserError where another process, such as an orphan of a killed run, still works in it after a few seconds;
    where stages run side by side it waits for the other one.
    """
    folder = ROOT / kind / fingerprint[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _held(folder.with_suffix(".lock")) as lock:
        gone = folder.with_suffix(".gone")
        shutil.rmtree(gone, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        yield folder
        folder.rename(gone)  # whole or not there: a kill while it is removed leaves nothing that looks finished
        shutil.rmtree(gone)
        lock.unlink()


@contextmanager
def shared(kind: str, fingerprint: str) -> Iterator[Path]:
    """Yield the same folder to any number of processes that do a share of the work each; it stays for the last one.

    Raises UserError where a process that holds all of it does not end within a few seconds.
    """
    folder = ROOT / kind / fingerprint[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _held(folder.with_suffix(".lock"), fcntl.LOCK_SH):
        folder.mkdir(exist_ok=True)
        yield folder


@contextmanager
def _held(lock: Path, mode: int = fcntl.LOCK_EX) -> Iterator[Path]:
    """Hold the file beside a workspace; one that another process removed while this one waited is opened anew."""
    deadline = math.inf if os.environ.get(SIDE_BY_SIDE) else time.monotonic() + PATIENCE
    with open(lock, "a+") as file:  # on NFS a shared lock wants a file that may be read
        while not _locked(file, mode):
            if time.monotonic() > deadline:
                work = lock.with_suffix("")
                raise UserError(f"{work}: another process is still at this work; wait for it or end it, then run again")
            time.sleep(0.1)
        if lock.exists() and os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            yield lock
            return
    with _held(lock, mode) as again:
        yield again


def _locked(file: TextIO, mode: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def clear(outputs: Path, age: float = WEEK) -> list[str]:
    """Remove what killed runs left and nobody goes on with; returns one line for each.

    That is workspaces, and the drafts of `files.publish` below `outputs`, which nothing has touched for `age` seconds;
    a workspace also has no process that holds it. Whose work was since taken from DVC's cache would stay forever.
    """
    lines = []
    for folder in sorted(path for path in ROOT.glob("*/*") if path.is_dir()):
        if _idle(folder) > age and _remove_unless_held(folder):
            lines.append(f"{folder}: unfinished work that nobody has gone on with for a week; removed")
    for draft in sorted(outputs.glob("**/.*.part")):
        if draft.exists() and _idle(draft) > age:
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
            lines.append(f"{draft}: a half-written output of a killed run; removed")
    return lines


def _idle(path: Path) -> float:
    """Seconds since anything at or below a path was written."""
    return time.time() - max(each.lstat().st_mtime for each in [path, *path.rglob("*")])


def _remove_unless_held(folder: Path) -> bool:
    with open(folder.with_suffix(".lock"), "w") as lock:
        if not _locked(lock):
            return False
        shutil.rmtree(folder)
        Path(lock.name).unlink()
    return True
