"""Runs the stages that need it, several at once; DVC decides for each whether it does."""

import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from stages.running import costs, job, kinds, pipeline, schedule
from stages.running.console import Console, duration
from stages.running.job import Job
from stages.running.pipeline import Pipeline
from stages.running.remote import Remote
from stages.running.warm import Warm

BETWEEN = 0.05
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Run:
    """What became of the stages so far, and how the rest is to be run: `processes` share a training, `encoders`
    is how many GPUs an encoding has.

    `stale` run; `unsure` come after one of them and may turn out unchanged. `seconds` is what each may take. So many
    `jobs` run here at once, beside those on a cluster.
    """

    known: Pipeline
    console: Console
    seconds: Mapping[str, float | None]
    jobs: int = 1
    gpus: Collection[str] = ()
    processes: int = 1
    encoders: int = 1
    remote: Remote | None = None
    warm: Warm | None = None
    stale: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    ran: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    stopped: int = 0

    @property
    def ahead(self) -> set[str]:
        """The stages that run or may have to run yet."""
        return (self.stale | self.unsure) & self.waiting.keys()

    @property
    def lost(self) -> set[str]:
        """The stages that cannot run, since one that they need failed."""
        return schedule.downstream(self.known.needs, self.failed)

    @property
    def waiting(self) -> dict[str, set[str]]:
        """The stages that have not come to an end -> those that they still wait for."""
        over = self.done | self.failed.keys() | self.lost
        return {name: needs - over for name, needs in self.known.needs.items() if name not in over}

    @property
    def left(self) -> float | None:
        """Seconds until the last stage has run, if all that may run do; None where nothing is known of them."""
        if not any(self.seconds[name] for name in self.ahead):
            return None
        weights = {name: weight if name in self.ahead else 0.0 for name, weight in self._weights().items()}
        return schedule.makespan(self.waiting, weights, self.jobs + (self.remote.room if self.remote else 0))

    def goes(self, stage: str) -> bool:
        """Whether a stage runs on the cluster, and not here."""
        return self.remote is not None and self.remote.takes(stage)

    def priorities(self) -> dict[str, float]:
        """Seconds from the start of each stage to the end."""
        return schedule.remaining(self.known.needs, self._weights())

    def _weights(self) -> dict[str, float]:
        """Expected seconds; of a stage that nobody has run yet one, of one that runs what is left."""
        known = {name: 1.0 if seconds is None else seconds for name, seconds in self.seconds.items()}
        return known | {one.stage: max(1.0, known[one.stage] - one.seconds) for one in self.running.values()}


def survey(run: Run, names: Collection[str] | None = None) -> None:
    """Find which stages are stale, and which come after them; of a few alone where they are named."""
    for name, needs in run.waiting.items():
        if names is not None and name not in names:
            continue
        if not run.ahead.isdisjoint(needs):
            run.unsure.add(name)
        elif pipeline.is_stale(run.known.stages[name]):
            run.stale.add(name)


def go(run: Run, names: Collection[str] | None = None) -> None:
    """Bring all stages to an end, or those named, which need no other; returns early when a signal stopped it."""
    with _handled(run):
        while not run.stopped and _begin(run, names):
            _wait(run)
        while run.running:
            for one in run.running.values():
                job.send(one, signal.SIGTERM)
            _reap(run)
            time.sleep(job.INTERVAL)


def _begin(run: Run, names: Collection[str] | None) -> bool:
    """Start what may be started; whether anything runs."""
    longest = run.priorities()
    settled = True
    while settled:
        settled = False
        waiting = {name: needs for name, needs in run.waiting.items() if names is None or name in names}
        begun = {one.stage for one in run.running.values()}
        for name in schedule.longest_first(schedule.startable(waiting, (), begun), longest):
            if _is_settled(run, name):
                settled = True
            elif _has_room(run, name):
                started = job.start(run.known, name, _variables(run, name), _free_gpus(run, name))
                run.running[started.pid] = started
    return bool(run.running)


def _has_room(run: Run, stage: str) -> bool:
    """Whether one more stage may run where this one does; one that is larger than a cluster runs there alone."""
    beside = [one.stage for one in run.running.values() if run.goes(one.stage) == run.goes(stage)]
    if run.remote and run.goes(stage):
        return not beside or sum(map(run.remote.weight, [*beside, stage])) <= run.remote.room
    return len(beside) < run.jobs


def _variables(run: Run, stage: str) -> dict[str, str]:
    """What launch.py reads to run a stage's command elsewhere: on the cluster, or forked from the warm server."""
    if run.remote and run.goes(stage):
        return run.remote.variables(stage, job.log_of(stage))
    socket = run.warm.socket_for(stage) if run.warm else None
    return {"STAGE_SERVER": str(socket)} if socket else {}


def _is_settled(run: Run, name: str) -> bool:
    """Whether a stage, all that it needs being done, need not run; it is done then."""
    if name in run.stale:
        return False
    if name in run.unsure:
        run.unsure.discard(name)
        if pipeline.is_stale(run.known.stages[name]):
            run.stale.add(name)
            return False
        run.console.count(name, "unchanged")
    run.done.add(name)
    return True


def _wait(run: Run) -> None:
    """Wait until a stage ends or a signal comes."""
    end = None if (left := run.left) is None else time.monotonic() + left
    while run.running and not run.stopped and not _reap(run):
        run.console.show(run.running.values(), None if end is None else end - time.monotonic())
        time.sleep(BETWEEN)


def _reap(run: Run) -> bool:
    """See to the stages that ended; whether there were any."""
    before = len(run.running)
    for pid, one in list(run.running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del run.running[pid]
            job.send(one, signal.SIGKILL)  # what it started, where it was killed itself
            _ended(run, one, os.waitstatus_to_exitcode(status))
    return len(run.running) < before


def _ended(run: Run, one: Job, code: int) -> None:
    """Count a stage that came to an end; one that was stopped is as if it had not begun."""
    run.console.warn(job.warnings(one.log))
    if code == 0:
        run.done.add(one.stage)
        ran = job.ran(one.log)
        if ran:
            run.ran.add(one.stage)
            if not run.goes(one.stage):  # another machine's seconds, with those in which it had no room yet
                costs.record(one.stage, one.seconds)
        run.console.count(one.stage, duration(one.seconds) if ran else "taken from DVC's cache", run.left)
    elif not run.stopped:
        run.failed[one.stage] = job.error(one.log)
        run.console.count(one.stage, f"FAILED after {duration(one.seconds)}: {run.failed[one.stage]}")


def _free_gpus(run: Run, stage: str) -> str | None:
    """The GPUs that fewest stages use, one for each process of a stage; None where there is none to choose."""
    if run.goes(stage):
        return None
    used = [gpu for one in run.running.values() for gpu in (one.gpu or "").split(",")]
    kind = kinds.of(stage)
    many = run.processes if kind in kinds.TRAINING else run.encoders if kind in kinds.ENCODING else 1
    return ",".join(sorted(run.gpus, key=used.count)[:many]) if len(run.gpus) > 1 else None


@contextmanager
def _handled(run: Run) -> Iterator[None]:
    """The first signal to stop is noted; a second one kills what still runs."""

    def stop(number: int, frame: object) -> None:
        for one in run.running.values() if run.stopped else ():
            job.send(one, signal.SIGKILL)
        if not run.stopped and run.running:
            names = ", ".join(one.stage for one in run.running.values())
            run.console.line(f"ending {names}; once more ends them at once", error=True)
        run.stopped = run.stopped or number

    before = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
