"""Work on a Ray cluster: actors that load once and take items one by one.

Every item may be done more than once, and by whom does not matter: what it writes has its own place. Beside this module
only stages.running.away imports Ray.
"""

from __future__ import annotations

import importlib.util
import os
import socket
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
REACHED = 10.0  # seconds in which the head of a cluster answers
AWAY = "STAGES_AWAY"  # set where other machines compute, so that this one's devices say nothing


@dataclass(frozen=True)
class Cluster:
    """Where Ray is, as ray.init takes it (`local` starts it here), how many actors work, and what each needs."""

    address: str
    actors: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, settings: Any) -> Cluster:
        """The cluster that the block scale.encoding of params.yaml describes."""
        return cls(settings.address, settings.actors, settings.cpus_per_actor, settings.gpus_per_actor)

    def require_room(self) -> None:
        """Raises UserError where no machine, of those that are there now, has room for an actor."""
        if not any(places(machine, self.cpus, self.gpus) for machine in machines()):
            raise UserError(
                f"scale.encoding: no machine of the cluster has {self.cpus:g} CPUs and {self.gpus:g} GPUs; "
                "lower cpus_per_actor or gpus_per_actor"
            )


def check() -> None:
    """Raises UserError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UserError("Ray is not installed; pip install -r requirements-ray.txt, or do without")


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

    with connected(cluster.address, "scale.encoding.address"):
        cluster.require_room()
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
                    raise UserError(f"Ray: {item or 'loading'} was lost {lost[item]} times: {line(error)}")
                click.echo(f"warning: an actor was lost, another takes its work: {line(error)}", err=True)
                cluster.require_room()
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


@contextmanager
def connected(address: str, said: str, shows: bool = True) -> Iterator[None]:
    """A connection to the cluster at an address, which is closed again; one that was started for it ends with it.

    Whether it `shows` what workers and Ray itself print there. Raises UserError, beginning with the name under which
    the user `said` the address, where no cluster answers.
    """
    check()
    _reach(address, said)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            logging_level="warning",
            log_to_driver=shows,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    except (ConnectionError, ray.exceptions.RayError, RuntimeError, ValueError) as error:
        raise UserError(f"{said} {address}: {line(error)}")
    try:
        yield
    finally:
        ray.shutdown()


def machines() -> list[dict[str, float]]:
    """What each machine of the cluster has that this process is connected to, by Ray's names: CPU, GPU, memory."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def places(machine: dict[str, float], cpus: float, gpus: float, memory: float = 0) -> int:
    """How often so many CPUs, GPUs and bytes of memory are there on a machine, at least one kind of which is asked."""
    asked = (("CPU", cpus), ("GPU", gpus), ("memory", memory))
    return min(int(machine.get(kind, 0) / needed) for kind, needed in asked if needed)


def line(error: BaseException | None) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())[:300]


def _reach(address: str, said: str) -> None:
    """Raises UserError where nobody answers at an address, for which Ray would wait without an end."""
    from ray._private.services import canonicalize_bootstrap_address

    if "://" in address:
        return
    try:
        host, _, port = (canonicalize_bootstrap_address(address) or "").rpartition(":")
        if host and port.isdecimal():
            socket.create_connection((host, int(port)), REACHED).close()
    except (OSError, ValueError) as error:
        raise UserError(f"{said} {address}: {error}; name the address that ray start printed")
