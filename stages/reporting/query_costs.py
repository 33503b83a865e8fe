"""What a query costs: milliseconds to encode it and to rank passages, from the rates that the stages recorded."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from stages.params import Study
from stages.params.report import Target
from stages.reporting.training_logs import TrainingLog

Recorded = Sequence[Mapping[str, Any]]
NOTE = (
    "Milliseconds per query are those of the batches in which the stages encode and search, on the machine of this "
    "run: a retriever encodes the query and searches all passages, a hybrid does what its members do and fuses, a "
    "reranker also scores its candidates. Variants of one checkpoint do the same work for a query; they share the "
    "median of their times, since what is left between them is what else the machine did."
)


def milliseconds(study: Study, recorded: Recorded, logs: Mapping[str, TrainingLog], target: Target) -> dict[str, float]:
    """Variant -> milliseconds per query of a target; a variant with a part that nobody recorded is left out."""
    known = _searchers(study, recorded, logs, target)
    for name in study.fusions:
        fused = _rate(recorded, "fuse", name, "queries_per_second")
        if fused and all(member in known for member in study.members(name)):
            known[name] = sum(known[member] for member in study.members(name)) + 1000 / fused
    for name, block in study.rerankers.items():
        pairs = _rate(recorded, "rerank", name, "pairs_per_second")
        if pairs and block.first_stage in known:
            known[name] = known[block.first_stage] + 1000 * study.rerank.depth / pairs
    return known


def _searchers(study: Study, recorded: Recorded, logs: Mapping[str, TrainingLog], target: Target) -> dict[str, float]:
    """Variants that search: one time for all that do the same work, the median of theirs."""
    times: dict[tuple[str, bool], list[float]] = {}
    kinds = {}
    for name, block in study.searchers.items():
        unmerged = any(run.unmerged for run in logs[name].seed_runs) if name in logs else False
        kinds[name] = block.checkpoint, unmerged
        lexical = study.checkpoints[block.checkpoint].architecture == "lexical"
        encoded = _encoded(recorded, f"{name}.{target.corpus}.", f"{target.split}_per_second")
        searched = _rate(recorded, "search", f"{name}.{target.corpus}", "queries_per_second")
        if searched and (lexical or encoded):
            own = 1000 / searched + (0.0 if lexical else 1000 / median(encoded))
            times.setdefault(kinds[name], []).append(own)
    return {name: median(times[kind]) for name, kind in kinds.items() if kind in times}


def _rate(recorded: Recorded, stage: str, name: str, figure: str) -> float | None:
    """One figure of one stage; None where it was not recorded, or is 0."""
    found = [entry.get(figure) for entry in recorded if (entry["stage"], entry["name"]) == (stage, name)]
    return found[0] or None if found else None


def _encoded(recorded: Recorded, start: str, figure: str) -> list[float]:
    """The rates of a variant's seed runs."""
    return [
        entry[figure]
        for entry in recorded
        if entry["stage"] == "encode" and entry["name"].startswith(start) and entry.get(figure)
    ]
