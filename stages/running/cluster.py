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


@dataclass(frozen=True)
class Cluster:
    """A cluster at `address` that runs `jobs` stages at once, with so many CPUs and GPUs for each process of a stage.

    `processes` share a training. `going` are the kinds of stages that run there.
    """

    address: str
    cpus: int
    gpus: float
    jobs: int
    processes: int = 1
    going: frozenset[str] = GOING

    def takes(self, stage: str) -> bool:
        """Whether a stage runs there, and not here."""
        return kinds.of(stage) in self.going

    def variables(self, stage: str, log: Path) -> dict[str, str]:
        """What launch.py reads to run a stage's command there."""
        many = self.processes if kinds.of(stage) in kinds.TRAINING else 1
        gpus = self.gpus * many if kinds.of(stage) in kinds.COMPUTING else 0
        asked = {"address": self.address, "cpus": self.cpus * many, "gpus": gpus, "log": str(log.resolve())}
        return {"STAGE_CLUSTER": json.dumps(asked)}


def found(address: str, study: Study, gpus: float | None) -> Cluster:
    """The cluster at an address, with a GPU for each process where it has any and `gpus` does not say otherwise.

    Raises UserError where Ray is not installed, no cluster answers or no machine of it has room for a training, and
    where the study leaves the number of threads open, on which its bytes depend.
    """
    if study.threads is None:
        raise UserError("params.yaml: threads: null is all cores of whichever machine; name a number for --ray")
    processes = study.scale.training.processes
    asked = {"address": address, "cpus": study.threads, "gpus": gpus, "processes": processes}
    command = [sys.executable, "-m", "stages.running.away", "room", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["Ray did not answer"]
        raise UserError(lines[-1].removeprefix("Error: "))
    going = GOING - (ON_ACTORS if study.scale.encoding.engine == "ray" else frozenset())
    return Cluster(going=going, **json.loads(done.stdout.splitlines()[-1]))
