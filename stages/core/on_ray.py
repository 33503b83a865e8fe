"""Work on a Ray cluster: actors that load once and take items one by one, or one command. Nothing else imports Ray.

Every item and command may be done more than once, and by whom does not matter: what it writes has its own place.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from stages.core.errors import UserError

ROOT = Path(__file__).parents[2]  # where the actors find this code
Item = TypeVar("Item")
Result = TypeVar("Result")
LOSSES = 5  # of one item, with the actor that had it: it is not the machine then
INTERVAL = 0.2
REACHED = 10.0  # seconds in which the head of a cluster answers
OF_THE_MACHINE = ("CUDA_VISIBLE_DEVICES", "TMPDIR")  # what a command does not take along to another one


@dataclass(frozen=True)
class Cluster:
    """Where Ray is, as ray.init takes it (`local` starts it here), what an actor or command needs, and how many actors.

    `said` is where the user named it, `lower` what asks for less.
    """

    address: str
    cpus: float
    gpus: float
    actors: int = 1
    said: str = "scale.encoding.address"
    lower: str = "cpus_per_actor or gpus_per_actor"

    @classmethod
    def of(cls, settings: Any) -> Cluster:
        """The cluster that the block scale.encoding of params.yaml describes."""
        return cls(settings.address, settings.cpus_per_actor, settings.gpus_per_actor, settings.actors)


def check() -> None:
    """Raises UserError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UserError("Ray is not installed; pip install -r requirements-ray.txt, or use engine: local")


def each(
    make: Callable[[], Callable[[Item], Result]], items: Sequence[Item], cluster: Cluster
) -> Iterator[tuple[Item, Result]]:
    """Each item with what the callable of `make` returns for it, in the order in which they end.

    Every actor calls `make` once, in the folder that this process is in, which all machines must share. An item whose
    actor or machine is lost goes to another one; the actor starts again where there is room. Raises UserError where no
    machine has room for an actor, where an item is lost LOSSES times, and what the work itself raises.
    """
    check()
    import ray

    with _connected(cluster):
        actors = [_actor(cluster, make) for _ in range(min(cluster.actors, len(items)))]
        waiting, left = deque(items), len(items)
        idle: list[Any] = []
        running: dict[Any, tuple[Any, Item | None]] = {actor.ready.remote(): (actor, None) for actor in actors}
        lost: Counter[Item | None] = Counter()
        while left:
            while waiting and idle:
                actor, next_one = idle.pop(), waiting.popleft()
                running[actor.do.remote(next_one)] = (actor, next_one)
            done = ray.wait(list(running), num_returns=1)[0][0]
            actor, item = running.pop(done)
            try:
                result = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause
            except (ray.exceptions.RayActorError, ray.exceptions.RaySystemError) as error:
                lost[item] += 1
                if lost[item] >= LOSSES * (1 if item is not None else cluster.actors):
                    raise UserError(f"Ray: {item or 'loading'} was lost {lost[item]} times: {_line(error)}")
                click.echo(f"warning: an actor was lost, another takes its work: {_line(error)}", err=True)
                if item is not None:
                    waiting.appendleft(item)
                running[actor.ready.remote()] = (actor, None)
                continue
            idle.append(actor)
            if item is not None:
                left -= 1
                yield item, result


def _actor(cluster: Cluster, make: Callable[[], Callable[[Any], Any]]) -> Any:
    """An actor that restarts wherever there is room; `ready` waits for that, what is lost while it works is not tried
    again by Ray, since another actor takes it."""
    import ray

    class Worker:
        def __init__(self) -> None:
            os.chdir(folder)
            self.work: Callable[[Any], Any] | None = None

        @ray.method(max_task_retries=-1)
        def ready(self) -> None:
            self.work = self.work or make()

        @ray.method(max_task_retries=0)
        def do(self, item: Any) -> Any:
            self.ready()
            assert self.work
            return self.work(item)

    folder = str(Path.cwd())
    options = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "scheduling_strategy": "SPREAD"}
    return ray.remote(Worker).options(max_restarts=-1, max_task_retries=0, **options).remote()


def room(cluster: Cluster) -> int:
    """How many commands the machines of a cluster can run at once; raises UserError where it is none."""
    check()
    with _connected(cluster) as nodes:
        return sum(_places(node, cluster) for node in nodes)


def has_gpus(cluster: Cluster) -> bool:
    """Whether any machine of a cluster has a GPU."""
    check()
    with _connected(cluster) as nodes:
        return any(node.get("GPU", 0) > 0 for node in nodes)


def run(command: str, cluster: Cluster, log: Path) -> int:
    """The exit code of a shell command on a machine of the cluster, in this folder and with this environment.

    The command adds what it prints to `log`. It ends with this process. Where its machine is lost another one begins it
    again. Raises UserError where no machine has room for it, where it is lost LOSSES times, and where a machine lacks
    this folder.
    """
    check()
    import ray

    folder = Path.cwd()
    sent = {name: value for name, value in os.environ.items() if name not in OF_THE_MACHINE}

    def work() -> int:
        raylet = os.getppid()
        own = {name: os.environ[name] for name in OF_THE_MACHINE if name in os.environ}
        own |= {} if cluster.gpus else {"CUDA_VISIBLE_DEVICES": ""}
        with open(log, "ab") as out:
            out.write(f"at work on {os.uname().nodename}\n".encode())
            out.flush()
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=folder,
                env=sent | own,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=ends_with,
            )
            while (code := process.poll()) is None:
                if os.getppid() != raylet:  # a worker that is busy outlives the Ray of its machine
                    process.kill()
                    os._exit(1)
                time.sleep(INTERVAL)
            return code

    def ends_with() -> None:
        """Have the kernel end this process with the one that started it."""
        import ctypes

        if hasattr(ctypes.CDLL(None), "prctl"):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    with _connected(cluster):
        task = ray.remote(work).options(num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=0)
        for lost in range(1, LOSSES + 1):
            try:
                return ray.get(task.remote())
            except ray.exceptions.RayTaskError as error:
                raise UserError(f"Ray: {_line(error.cause)}")
            except ray.exceptions.RayError as error:
                if lost == LOSSES:
                    raise UserError(f"Ray: lost {lost} times: {_line(error)}")
                click.echo(f"warning: a machine was lost, another begins again: {_line(error)}", err=True)
        raise AssertionError


@contextmanager
def _connected(cluster: Cluster) -> Iterator[list[dict[str, float]]]:
    """What each machine of the cluster has, while connected to it; a cluster that was started for it ends with it."""
    _reach(cluster)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        ray.init(
            address=cluster.address,
            include_dashboard=False if cluster.address == "local" else None,
            logging_level="warning",
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    except (ConnectionError, ray.exceptions.RayError, RuntimeError) as error:
        raise UserError(f"{cluster.said} {cluster.address}: {_line(error)}")
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(_places(node, cluster) for node in nodes):
            raise UserError(
                f"{cluster.said} {cluster.address}: no machine of the cluster has {cluster.cpus:g} CPUs and "
                f"{cluster.gpus:g} GPUs; lower {cluster.lower}"
            )
        yield nodes
    finally:
        ray.shutdown()


def _reach(cluster: Cluster) -> None:
    """Raises UserError where nobody answers at an address, for which Ray would wait without an end."""
    host, _, port = cluster.address.rpartition(":")
    if host and "://" not in cluster.address:
        try:
            socket.create_connection((host, int(port)), REACHED).close()
        except (OSError, ValueError) as error:
            raise UserError(f"{cluster.said} {cluster.address}: {error}; name the address that ray start printed")


def _places(machine: dict[str, float], cluster: Cluster) -> int:
    """How often what an actor or command needs is there."""
    asked = (("CPU", cluster.cpus), ("GPU", cluster.gpus))
    return min(int(machine.get(kind, 0) / needed) for kind, needed in asked if needed)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
