"""What training wrote down step by step: reports/training/<variant>.json."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from stages.core.errors import UserError
from stages.training.trials import Trial

VALIDATED = "RR@10"
RERANKED = "RR of 5"  # of a reranker: reciprocal rank among a few candidates


@dataclass(frozen=True)
class SeedRun:
    """One training of a variant: its steps, weights (`trainable` of `total`), tensors (`changed` of them), and log.

    `moved` is the share of trainable elements that moved, `untouched` the kinds of modules after the transformer that
    were not trained. The steps read so many rows in all (`read`), `mean_batch` each; `left_out` could not be put into a
    batch. Older logs lack these. `unmerged` says that the adapter is in layers of its own. The log has an entry a step:
    "step" with "loss" and "lr", or with a measure of the validation sample. `best_step` is where the weights were kept
    that validation ranked best; None where those of the last step were.
    """

    seed: int
    steps: int
    trainable: int
    total: int
    tensors: int
    changed: int
    log: Sequence[dict[str, float]]
    best_step: int | None = None
    moved: float | None = None
    untouched: Sequence[str] = ()
    read: int = 0
    mean_batch: float = 0.0
    left_out: int = 0
    unmerged: bool = False

    def by_step(self, figure: str) -> dict[int, float]:
        """Step -> a figure of the log, for the steps that have it."""
        return {int(entry["step"]): entry[figure] for entry in self.log if figure in entry}


@dataclass(frozen=True)
class Interpolated:
    """One interpolation: validation at each alpha, and the alpha that was taken."""

    seed_run: str
    alpha: float
    by_alpha: dict[float, float]


@dataclass(frozen=True)
class Fused:
    """A weighted sum: its members, their weights, and the measure at all weights that were tried."""

    of: list[str]
    weights: list[float]
    tried: list[tuple[list[float], float]]


@dataclass(frozen=True)
class Search:
    """The search that chose a variant's setting: its trials, and the numbers of the chosen one and of the one that is
    the setting of `variant` itself (None where the space does not hold it).

    `sample` counts the queries and passages that trials were scored on; `space` is by place {low, high, log} or
    {choices}.
    """

    variant: str
    seed: int
    sample: dict[str, int]
    own: int | None
    chosen: int
    space: dict[str, dict[str, Any]]
    trials: Sequence[Trial]


@dataclass(frozen=True)
class TrainingLog:
    """Both lists are empty for a variant without fine-tuning; only a weighted sum is `fused`."""

    variant: str
    seed_runs: Sequence[SeedRun] = ()
    between: Sequence[Interpolated] = ()
    fused: Fused | None = None
    search: Search | None = None

    def validation(self, measure: str = VALIDATED) -> dict[int, float]:
        """Step -> the mean over seed runs of a measure of the validation sample, for the steps that all have."""
        curves = [run.by_step(measure) for run in self.seed_runs]
        steps = curves[0] if curves else {}
        return {step: fmean(c[step] for c in curves) for step in steps if all(step in c for c in curves)}


def read(folder: Path, variants: Iterable[str]) -> dict[str, TrainingLog]:
    """Variant -> its log. Raises UserError where one is missing."""
    return {variant: _log(folder / f"{variant}.json") for variant in variants}


def _log(path: Path) -> TrainingLog:
    if not path.is_file():
        raise UserError(f"{path}: there is no such training log; run dvc repro")
    stored = json.loads(path.read_text())
    between = [
        Interpolated(
            entry["seed_run"], entry["alpha"], {float(alpha): value for alpha, value in entry[VALIDATED].items()}
        )
        for entry in stored.get("between", [])
    ]
    fused = stored.get("fused")
    if fused:
        tried = [(entry["weights"], entry["value"]) for entry in fused["tried"]]
        fused = Fused(fused["of"], fused["weights"], tried)
    runs = [SeedRun(**entry) for entry in stored["seed_runs"]]
    return TrainingLog(stored["variant"], runs, between, fused, _search(stored.get("search")))


def _search(stored: dict[str, Any] | None) -> Search | None:
    if stored is None:
        return None
    trials = [
        Trial(**{**entry, "curve": {int(step): value for step, value in entry["curve"].items()}})
        for entry in stored["trials"]
    ]
    return Search(**{**stored, "trials": trials})
