"""What the stages cost on this machine: seconds, rates, memory.

A stage leaves its figures in data/costs, which neither git nor DVC sees, as they differ in every run. The `costs` stage
gathers them into reports/costs.json when the study's results change, and only then.
"""

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from stages.core.files import publish

ROOT = Path("data/costs")
WHOLE = "whole"  # what is recorded of whole stages, under the names that DVC gives them, by who runs them


class Clock:
    """Seconds since it was made, and since its last lap."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def lap(self) -> float:
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def record(stage: str, name: str, **figures: Any) -> None:
    """Write a stage's figures (seconds, rates, counts) with its peak memory in MB and the machine's kind and cores."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    with publish(ROOT / stage / f"{name}.json") as draft:
        draft.write_text(json.dumps({**rounded, "peak_rss_mb": round(peak), "machine": machine}, indent=2) + "\n")


def latencies(**models: Any) -> dict[str, float]:
    """Milliseconds a query for each SentenceTransformer: the median of 7 rounds of 64 queries, taken in turn."""
    queries = [f"what does function number {number} of this library compute" for number in range(64)]
    rounds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(8):
        for name, model in models.items():
            clock = Clock()
            model.encode(queries, batch_size=64, show_progress_bar=False)
            rounds[name].append(clock.seconds() / len(queries) * 1000)
    return {f"{name}_ms": statistics.median(seconds[1:]) for name, seconds in rounds.items()}


def recorded(path: Path) -> list[dict[str, Any]]:
    """The figures that reports/costs.json holds, each with the `stage` and `name` it was recorded under."""
    return json.loads(path.read_text()) if path.is_file() else []


def gathered(earlier: list[dict[str, Any]], known: Collection[str]) -> list[dict[str, Any]]:
    """Earlier figures with those of data/costs in their place, sorted; names that begin with no known name are gone.

    `known` are the variants, corpora and scored triplets of the study; a figure is called `<one of them>.<...>`.
    Seconds of whole stages are kept.
    """
    figures = {(entry["stage"], entry["name"]): entry for entry in earlier}
    for path in ROOT.glob("*/*.json"):
        figures[path.parent.name, path.stem] = {
            "stage": path.parent.name,
            "name": path.stem,
            **json.loads(path.read_text()),
        }
    return [figures[key] for key in sorted(figures) if key[0] == WHOLE or key[1].partition(".")[0] in known]
