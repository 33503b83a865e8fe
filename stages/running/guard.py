"""One run at a time in a repository, and nothing of an earlier one beside it."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import publish

GUARD = Path(".dvc/tmp/reproduce.lock")
HELD = Path(".dvc/tmp/rwlock")
OURS = "stages/reproduce.py"  # in the command of an entry: since this run is alone, its run is over
PATIENCE = 30.0


@contextmanager
def alone(patience: float = PATIENCE) -> Iterator[None]:
    """Hold the repository for one run. The children hold it too, so that those of a killed run are waited for.

    Raises UserError where another run goes on for longer than `patience` seconds.
    """
    GUARD.parent.mkdir(parents=True, exist_ok=True)
    with open(GUARD, "w") as file:
        began = time.monotonic()
        while not _locked(file.fileno()):
            if time.monotonic() - began > patience:
                raise UserError("another run is at work in this repository; wait for it or end it, then run again")
            time.sleep(0.1)
        _forget_the_dead()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _forget_the_dead() -> None:
    """Take from DVC's list of files in use what processes left that were killed, earlier runs above all.

    DVC drops an entry when its process is gone, but not where another process has got its number since, nor a list that
    is half-written.
    """
    import psutil

    def alive(user: dict) -> bool:
        return psutil.pid_exists(user["pid"]) and OURS not in user["cmd"]

    if not HELD.exists():
        return
    with open(HELD.with_suffix(".lock"), "a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            held = json.loads(HELD.read_text())
        except ValueError:
            HELD.unlink()
            return
        read = {path: [user for user in users if alive(user)] for path, users in held.get("read", {}).items()}
        write = {path: user for path, user in held.get("write", {}).items() if alive(user)}
        with publish(HELD) as draft:
            draft.write_text(
                json.dumps({"read": {path: users for path, users in read.items() if users}, "write": write})
            )
