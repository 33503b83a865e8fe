"""One stage in a process of its own, forked from the driver, which has DVC and the graph loaded.

Its own process group holds what the stage starts. The child outlives no driver: it ends the stage's command when the
driver is gone, and lets DVC come to an orderly end.
"""

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from stages.core import scratch
from stages.running import pipeline
from stages.running.pipeline import Pipeline

LOGS = Path("data/logs")
LAUNCH = Path(__file__).with_name("launch.py")
INTERVAL = 0.2
AT_WORK = "at work on "  # begins the line that says which machine of a cluster runs the command
RAN = re.compile(r"^Running stage '", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """A stage that runs, as the process `pid`."""

    stage: str
    pid: int
    gpu: str | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def log(self) -> Path:
        return log_of(self.stage)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


def log_of(stage: str) -> Path:
    return LOGS / f"{stage}.log"


def start(known: Pipeline, stage: str, variables: Mapping[str, str], gpu: str | None = None) -> Job:
    """Fork a child that reproduces a stage; `gpu` is the only one that it sees, launch.py reads the `variables`."""
    LOGS.mkdir(parents=True, exist_ok=True)
    environment = {"SHELL": str(LAUNCH), "STAGE_SHELL": os.environ.get("SHELL") or "/bin/sh"}
    environment |= {scratch.SIDE_BY_SIDE: "1", "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    environment |= {"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}
    environment |= variables
    sys.stdout.flush()
    sys.stderr.flush()
    driver = os.getpid()
    pid = os.fork()
    if pid:
        return Job(stage, pid, gpu)
    code = 1
    try:
        os.environ.update(environment)
        code = _child(known, stage, driver)
    finally:
        os._exit(code)


def _child(known: Pipeline, stage: str, driver: int) -> int:
    """Reproduce a stage; 0 on success. All output goes to its log."""
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not ignored, which commands would inherit
        signal.siginterrupt(number, False)
    _redirect(log_of(stage))
    threading.Thread(target=_end_without, args=[driver], daemon=True).start()
    _show_dvc()
    try:
        pipeline.reproduce(known.repo, known.stages[stage])
    except BaseException as error:
        print(f"dvc: {pipeline.words(error) or type(error).__name__}", flush=True)
        return 1
    sys.stdout.flush()
    return 0


def _redirect(log: Path) -> None:
    log.unlink(missing_ok=True)
    with open(os.devnull) as nothing, open(log, "a") as file:  # appended to from another machine as well
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)


def _show_dvc() -> None:
    """DVC's own lines, as its command shows them."""
    handler = logging.StreamHandler(sys.stdout)
    logger = logging.getLogger("dvc")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def _end_without(driver: int) -> None:
    """End the commands of this process's group, again and again, once the driver is gone."""
    while os.getppid() == driver:
        time.sleep(INTERVAL)
    while True:
        os.killpg(0, signal.SIGTERM)
        time.sleep(INTERVAL)


def send(job: Job, number: int) -> None:
    """Send a signal to a job's process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(job.pid, number)


def ran(log: Path) -> bool:
    """Whether DVC ran the stage's command; it may have found all as it was, or in its cache."""
    return bool(RAN.search(_text(log)))


def warnings(log: Path) -> list[str]:
    """The lines that a stage began with `warning:`."""
    return [line.strip() for line in _text(log).splitlines() if line.startswith("warning:")]


def error(log: Path) -> str:
    """The one line of a log that says why the stage failed: its own error, else its last line, else DVC's."""
    lines = [line.strip() for line in _text(log).replace("\r", "\n").splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith(("dvc: ", "Running stage", "> ", AT_WORK))]
    said = [line.removeprefix("Error: ") for line in own if line.startswith("Error: ")]
    return next((some[-1] for some in (said, own, lines) if some), "it was killed")


def _text(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
