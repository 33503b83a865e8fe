"""One run at a time in a repository, and nothing of an earlier one beside it."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError

GUARD = Path(".dvc/tmp/reproduce.lock")
HELD = Path(".dvc/tmp/rwlock")
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
        _drop_torn()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _drop_torn() -> None:
    """Remove DVC's list of files in use where a killed process left it half-written, which DVC does not mend."""
    try:
        json.loads(HELD.read_text())
    except FileNotFoundError:
        return
    except ValueError:
        HELD.unlink()
