"""What the stages cost when they last ran: all figures, and those of each variant next to its change."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from stages.reporting.table import NOTHING, Table
from stages.reporting.training_logs import TrainingLog

HEADS = {
    "query": "ms per query",
    "weights": "weights trained",
    "steps": "training steps",
    "seconds": "training, s",
    "memory": "peak memory in training, MB",
    "rate": "encoded passages/s",
    "pairs": "reranked pairs/s",
    "busy": "GPU busy in training, %",
    "taken": "GPU memory in training, MB",
}
Recorded = Sequence[Mapping[str, Any]]


def everything(recorded: Recorded) -> Table:
    """Every recorded figure, one line for each stage and name."""
    lines = [
        [
            entry["stage"],
            entry["name"],
            ", ".join(f"{key} {value}" for key, value in entry.items() if key not in ("stage", "name")),
        ]
        for entry in recorded
    ]
    return Table(["stage", "of", "figures"], lines)


def by_variant(logs: Mapping[str, TrainingLog], recorded: Recorded, corpus: str) -> dict[str, dict[str, float]]:
    """Figure of HEADS -> variant -> its mean over seed runs; figures that nobody has are empty.

    `query` is left empty; query_costs.py has it. Weights and steps are those of the training logs, `rate` is that of
    encoding the corpus. A training that was resumed has no seconds.
    """
    figures: dict[str, dict[str, float]] = {name: {} for name in HEADS}
    for variant, log in logs.items():
        trained = _seed_runs(recorded, ("train", "train-reranker"), f"{variant}.")
        encoded = _seed_runs(recorded, ("encode",), f"{variant}.{corpus}.")
        resumed = any(entry.get("resumed") for entry in trained)
        values = {
            "weights": [run.trainable for run in log.seed_runs],
            "steps": [run.steps for run in log.seed_runs],
            "seconds": [] if resumed else [entry["train_seconds"] for entry in trained],
            "memory": [entry["peak_rss_mb"] for entry in trained],
            "rate": _figures(encoded, "docs_per_second"),
            "pairs": _figures(
                [entry for entry in recorded if (entry["stage"], entry["name"]) == ("rerank", variant)],
                "pairs_per_second",
            ),
            "busy": _figures(trained, "gpu_mean_percent"),
            "taken": _figures(trained, "gpu_peak_mb"),
        }
        for name, per_run in values.items():
            if per_run:
                figures[name][variant] = fmean(per_run)
    return figures


def table(figures: Mapping[str, Mapping[str, float]], changes: Mapping[str, str]) -> Table:
    """Variants by figures, next to their change in per cent of the base; figures that no variant has are left out."""
    names = [name for name in HEADS if figures[name]]
    lines = [
        [
            variant,
            change,
            *(_figure(figures[name].get(variant)) for name in names),
        ]
        for variant, change in changes.items()
    ]
    return Table(["variant", "change in domain, %", *(HEADS[name] for name in names)], lines)


def _figure(value: float | None) -> str:
    """Whole, or in two digits below 10."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"


def machines(recorded: Recorded) -> list[str]:
    """The machines on which figures were recorded."""
    return sorted({entry["machine"] for entry in recorded if "machine" in entry})


def _figures(entries: Recorded, name: str) -> list[float]:
    return [entry[name] for entry in entries if name in entry]


def _seed_runs(recorded: Recorded, stages: Sequence[str], start: str) -> list[Mapping[str, Any]]:
    """What stages recorded of the seed runs whose names are `start` and one more word."""
    return [
        entry
        for entry in recorded
        if entry["stage"] in stages and entry["name"].startswith(start) and "." not in entry["name"][len(start) :]
    ]
