"""What a stage cost on this machine: committed beside the results, in no file that a stage depends on."""
import json
import os
import platform
import resource
import statistics
import time
from pathlib import Path

from stages.core.files import publish

ROOT = Path("reports/costs")


class Clock:
    """Seconds since it was made, and since its last lap."""

    def __init__(self):
        self.start = self.last = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def lap(self) -> float:
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def record(stage: str, name: str, **figures) -> None:
    """Write a stage's figures (seconds, rates, counts) with its peak memory in MB and the machine's shape."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    with publish(ROOT / stage / f"{name}.json") as draft:
        draft.write_text(json.dumps({**rounded, "peak_rss_mb": round(peak), "machine": machine}, indent=2) + "\n")


def latencies(**models) -> dict[str, float]:
    """Milliseconds a query for each SentenceTransformer: the median of 7 rounds of 64 queries, taken in turn."""
    queries = [f"what does function number {number} of this library compute" for number in range(64)]
    rounds = {name: [] for name in models}
    for _ in range(8):
        for name, model in models.items():
            clock = Clock()
            model.encode(queries, batch_size=64, show_progress_bar=False)
            rounds[name].append(clock.seconds() / len(queries) * 1000)
    return {f"{name}_ms": statistics.median(seconds[1:]) for name, seconds in rounds.items()}


def recorded() -> list[dict]:
    """All figures on disk, each with the stage and the name it was recorded under."""
    return [{"stage": path.parent.name, "name": path.stem, **json.loads(path.read_text())}
            for path in sorted(ROOT.glob("*/*.json"))]
