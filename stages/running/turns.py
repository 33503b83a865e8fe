"""DVC's lock of a repository, taken in turn: DVC looks every half second whether it is free, this wakes up at once."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.lock import LockBase


class Turn:
    """A lock of DVC's behind one of the kernel's, for which those wait that run stages side by side."""

    def __init__(self, lock: "LockBase", path: Path) -> None:
        self._lock, self._path = lock, path
        self._descriptor = -1

    def lock(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._lock.lock()

    def unlock(self) -> None:
        self._lock.unlock()
        os.close(self._descriptor)

    @property
    def is_locked(self) -> bool:
        return self._lock.is_locked

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.unlock()
