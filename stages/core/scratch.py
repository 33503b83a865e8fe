"""Unfinished work that survives kill -9: a folder outside DVC's outputs, named by what it is made from.

DVC deletes a stage's outputs before it runs the stage, so shards and trainer checkpoints are here until they are whole.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError

ROOT = Path(".scratch")
WEEK = 7 * 24 * 3600.0
SIDE_BY_SIDE = "STAGES_SIDE_BY_SIDE"  # set where stages run side by side, of which two may be at equal work


@contextmanager
def workspace(kind: str, fingerprint: str) -> Iterator[Path]:
    """Yield a folder that an interrupted run of the same work left behind, or a new one; removed on success.

    Raises UserError while another process, such as an orphan of a killed run, still works in it; where stages run side
    by side it waits for the other one.
    """
    folder = ROOT / kind / fingerprint[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _held(folder.with_suffix(".lock")) as lock:
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder)
        lock.unlink()


@contextmanager
def _held(lock: Path) -> Iterator[Path]:
    """Hold the file beside a workspace; one that another process removed while this one waited is opened anew."""
    wait = 0 if os.environ.get(SIDE_BY_SIDE) else fcntl.LOCK_NB
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | wait)
        except BlockingIOError:
            work = lock.with_suffix("")
            raise UserError(f"{work}: another process is still at this work; wait for it or end it, then run again")
        if lock.exists() and os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            yield lock
            return
    with _held(lock) as again:
        yield again


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
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(folder)
        Path(lock.name).unlink()
    return True
