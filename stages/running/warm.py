"""A server for one run that has loaded the large libraries, from which the stages' commands are forked."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stages.core import threads
from stages.running import kinds

SERVER = Path(__file__).with_name("server.py")
FEW = 2


@dataclass(frozen=True)
class Warm:
    """A server at work: where it listens, and the file that is there once it answers at once."""

    socket: Path
    ready: Path

    def socket_for(self, stage: str) -> Path | None:
        """Where to have a stage's command forked. One that needs no large library does not wait for them."""
        return self.socket if _is_heavy(stage) or self.ready.exists() else None


@contextmanager
def server(names: Collection[str], limit: int | None, log: Path) -> Iterator[Warm | None]:
    """A server for a run of these stages; None where it would not pay, or cannot be.

    It computes with the threads of the study, as a stage does that is started anew.
    """
    if sum(map(_is_heavy, names)) < FEW or sys.platform != "linux":
        yield None
        return
    environment = dict(os.environ) | ({} if limit is None else dict.fromkeys(threads.VARIABLES, str(limit)))
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stages-") as folder, log.open("w") as file:
        warm = Warm(Path(folder) / "socket", Path(folder) / "ready")
        command = [sys.executable, str(SERVER), str(warm.socket), str(warm.ready)]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            yield warm
        finally:
            process.kill()
            process.wait()


def _is_heavy(stage: str) -> bool:
    return kinds.of(stage) in kinds.HEAVY
