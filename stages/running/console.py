"""What a run shows: one line a stage, and on a terminal one line more with what is running."""

import sys
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import click

from stages.running.job import Job

if TYPE_CHECKING:
    from tqdm import tqdm


class Console:
    """Counts stages and prints a line for each; `total` is how many may run, and falls where stages need not."""

    def __init__(self, total: int = 0) -> None:
        self.done, self.total = 0, total
        self.said: set[str] = set()
        self.shown = 0.0
        self.bar: tqdm | None = _bar() if sys.stdout.isatty() else None

    def begin(self, total: int) -> None:
        """Count from here, to so many."""
        self.done, self.total = 0, total

    def line(self, text: str, error: bool = False) -> None:
        """One line above the bar."""
        if self.bar is not None:
            self.bar.clear()
        click.echo(text, err=error)

    def count(self, stage: str, text: str, left: float | None = None) -> None:
        """The line of a stage that came to an end."""
        self.done += 1
        width = len(str(self.total))
        number = f"[{self.done:{width}}/{self.total}] " if self.total else ""
        after = f", {duration(left)} left" if left and self.total and self.bar is None else ""
        self.line(f"{number}{stage} {text}{after}")

    def warn(self, lines: Iterable[str]) -> None:
        """Warnings of stages, each once in a run."""
        for line in lines:
            if line not in self.said:
                self.said.add(line)
                self.line(line, error=True)

    def show(self, running: Collection[Job], left: float | None) -> None:
        """What is running and how long the rest may take, on a terminal."""
        if self.bar is not None and time.monotonic() - self.shown > 0.5:
            self.shown = time.monotonic()
            names = ", ".join(f"{job.stage} {duration(job.seconds)}" for job in running)
            self.bar.set_description_str(f"running: {names}{f'; about {duration(left)} left' if left else ''}")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _bar() -> "tqdm":
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread in a process that forks
    return tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True, file=sys.stdout, mininterval=0)


def duration(seconds: float) -> str:
    """41 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
