"""Stages whose command runs on a machine of a Ray cluster; DVC stays here, and decides, caches and writes dvc.lock."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UserError
from stages.params import Study
from stages.running import kinds

GOING = kinds.COMPUTING | {"mine", "search"}  # what others do is little, or needs the network
ON_ACTORS = frozenset({"encode", "rerank"})  # with scale.encoding.engine: ray they spread their work themselves
SECONDS = 120.0  # in which a cluster answers


@dataclass(frozen=True)
class Remote:
    """A Ray cluster at `address` with room for so many processes of `cpus` and `gpus` each.

    `processes` share a training. `going` are the kinds of stages that run there.
    """

    address: str
    cpus: int
    gpus: float
    room: int
    processes: int = 1
    going: frozenset[str] = GOING

    def takes(self, stage: str) -> bool:
        """Whether a stage runs there, and not here."""
        return kinds.of(stage) in self.going

    def weight(self, stage: str) -> int:
        """How many processes a stage has there."""
        return self.processes if kinds.of(stage) in kinds.TRAINING else 1

    def variables(self, stage: str, log: Path) -> dict[str, str]:
        """What launch.py reads to run a stage's command there. Processes that share a training do not share GPUs."""
        many = self.weight(stage)
        gpus = 0 if kinds.of(stage) not in kinds.COMPUTING or not self.gpus else self.gpus if many == 1 else many
        asked = {"address": self.address, "cpus": self.cpus * many, "gpus": gpus, "processes": many}
        return {"STAGE_CLUSTER": json.dumps({**asked, "log": str(log.resolve())})}


def found(address: str, study: Study, gpus: float | None, jobs: int | None) -> Remote:
    """The cluster at an address, with a GPU for each process where it has any and `gpus` does not say otherwise.

    It has room for what its machines have, or for `jobs`, since it may grow. Raises UserError where Ray is not
    installed, no cluster answers or no machine of it has room for a training, and where the study leaves the number of
    threads open, on which its bytes depend.
    """
    if address == "local":
        raise UserError("--ray local: that would start a cluster for each stage; name one, or leave --ray out")
    if study.threads is None:
        raise UserError("params.yaml: threads: null is all cores of whichever machine; name a number for --ray")
    asked = {"address": address, "cpus": study.threads, "gpus": gpus, "processes": study.scale.training.processes}
    command = [sys.executable, "-m", "stages.running.away", "room", json.dumps({**asked, "room": jobs})]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"--ray {address}: no answer within {SECONDS:.0f} s; see ray status")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["Ray did not answer"]
        raise UserError(lines[-1].removeprefix("Error: "))
    encoding = study.scale.encoding
    elsewhere = encoding.engine == "ray" and encoding.address != "local"
    return Remote(going=GOING - ON_ACTORS if elsewhere else GOING, **json.loads(done.stdout.splitlines()[-1]))
