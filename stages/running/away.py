"""What runs for a stage whose command goes to a Ray cluster: launch.py calls it in the command's place.

A command may begin more than once. No two of a stage are at work, as a command holds the stage's lock in `.scratch`.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

from stages.core import on_ray, scratch
from stages.core.errors import UserError
from stages.running.job import AT_WORK
from stages.running.machine import GIGABYTES_A_JOB

INTERVAL = 0.2
OF_THE_MACHINE = ("TMPDIR", "TMP", "TEMP", "XDG_RUNTIME_DIR", "HOSTNAME")  # what does not come along to another one
DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
PREFIXES = ("RAY_", "SLURM_")
PR_SET_PDEATHSIG = 1


@click.group()
def main() -> None:
    """A Ray cluster for `python -m stages.reproduce --ray`."""


@main.command()
@click.argument("asked")
def room(asked: str) -> None:
    """Print as JSON what a cluster gives to each process, as ASKED, and for how many it has room.

    Where `room` is not asked but counted, one machine must have room for a training.
    """
    known = json.loads(asked)
    with on_ray.connected(known["address"], "--ray", shows=False):
        machines = on_ray.machines()
    if known["gpus"] is None:
        known["gpus"] = float(any(machine.get("GPU", 0) > 0 for machine in machines))
    if known["room"] is None:
        cpus, gpus, many = known["cpus"], known["gpus"], known["processes"]
        largest = (cpus * many, gpus if many == 1 else many * (gpus > 0), _bytes(many))
        _require_room(machines, *largest)
        known["room"] = sum(on_ray.places(machine, cpus, gpus, _bytes(1)) for machine in machines)
    click.echo(json.dumps(known))


@main.command()
@click.argument("asked")
@click.argument("command")
def run(asked: str, command: str) -> None:
    """Run COMMAND on a machine of a cluster with what is ASKED, and end with its exit code.

    What it prints goes to the stage's log. It ends with this process. Where its machine is lost another one begins it
    again.
    """
    known = json.loads(asked)
    with on_ray.connected(known["address"], "--ray", shows=False):
        code = _ran(command, known["cpus"], known["gpus"], _bytes(known["processes"]), Path(known["log"]))
    sys.exit(code if code >= 0 else 128 - code)


def _ran(command: str, cpus: float, gpus: float, memory: int, log: Path) -> int:
    """The exit code of a command. Raises UserError where no machine has room for it and where it is lost too often."""
    import ray

    task = ray.remote(_work).options(num_cpus=cpus, num_gpus=gpus, memory=memory, max_retries=0)
    where = (str(Path.cwd()), _environment(os.environ), bool(gpus), str(log), str(_lock(log)))
    for _ in range(on_ray.LOSSES):
        try:
            return int(ray.get(task.remote(command, *where)))
        except ray.exceptions.RayTaskError as error:
            raise UserError(f"Ray: {on_ray.line(error.cause)}")
        except ray.exceptions.OutOfMemoryError as error:
            raise UserError(f"Ray: a machine ran out of memory; give a stage more threads: {on_ray.line(error)}")
        except ray.exceptions.RayError as error:
            said = on_ray.line(error)
        click.echo(f"warning: a machine was lost, another begins again: {said}", err=True)
        _require_room(on_ray.machines(), cpus, gpus, memory)
    raise UserError(f"Ray: lost {on_ray.LOSSES} times: {said}")


def _work(command: str, folder: str, environment: dict[str, str], has_gpus: bool, log: str, lock: str) -> int:
    """What a machine of the cluster does: it runs a command with its own devices, and ends it with its raylet."""
    here, raylet = os.uname().nodename, os.getppid()
    if not Path(log).parent.is_dir():
        raise FileNotFoundError(f"{here} has no {folder}; mount it there at the same path")
    own = {name: os.environ[name] for name in (*OF_THE_MACHINE, *DEVICES) if name in os.environ}
    own |= {} if has_gpus else dict.fromkeys(DEVICES, "")
    with open(log, "ab") as out, open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # until what a killed run had started is gone
        out.write(f"{AT_WORK}{here}\n".encode())
        out.flush()
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment | own,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[held.fileno()],
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        while (code := process.poll()) is None:
            if os.getppid() != raylet:  # a worker that is busy outlives the Ray of its machine
                os.killpg(process.pid, signal.SIGKILL)
                os._exit(1)
            time.sleep(INTERVAL)
        return code


def _end_with_parent() -> None:
    """Have the kernel end this process with the one that started it."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _environment(mine: "os._Environ[str]") -> dict[str, str]:
    """What a command takes along of this process's environment."""
    left = (*OF_THE_MACHINE, *DEVICES)
    return {name: value for name, value in mine.items() if name not in left and not name.startswith(PREFIXES)}


def _lock(log: Path) -> Path:
    folder = (scratch.ROOT / "stages").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{log.stem}.lock"


def _require_room(machines: list[dict[str, float]], cpus: float, gpus: float, memory: int) -> None:
    """Raises UserError where none of the machines has so much."""
    if not any(on_ray.places(machine, cpus, gpus, memory) for machine in machines):
        raise UserError(
            f"--ray: no machine of the cluster has {cpus:g} CPUs, {gpus:g} GPUs and {memory / 2**30:g} GB of memory; "
            "lower threads, --gpus or scale.training.processes"
        )


def _bytes(processes: int) -> int:
    """The memory that is kept for the processes of a stage."""
    return GIGABYTES_A_JOB * processes * 2**30


if __name__ == "__main__":
    main()
