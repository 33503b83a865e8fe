"""Unfinished work that survives kill -9: a folder outside DVC's outputs, named by what it is made from.

DVC deletes a stage's outputs before it runs the stage, so shards and trainer checkpoints are here until they are whole.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError

ROOT = Path(".scratch")


@contextmanager
def workspace(kind: str, fingerprint: str) -> Iterator[Path]:
    """Yield a folder that an interrupted run of the same work left behind, or a new one; removed on success.

    Raises UserError while another process, such as an orphan of a killed run, still works in it.
    """
    folder = ROOT / kind / fingerprint[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is still at this work; wait for it or end it, then run again")
        yield folder
        shutil.rmtree(folder)
        Path(lock.name).unlink()
