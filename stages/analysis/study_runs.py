"""The committed runs of a controlled study (reports/cause, reports/saturation): values, training, vector spaces.

A part of a study is <part>.parquet, with the columns variant, seed_run, split, query_id, cluster and one for each
measure, and <part>.json, which says how each variant was trained. studies/collecting.py writes both.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from stages.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SeedRun:
    """The training of one seed run of a variant, and its space next to that of its base checkpoint.

    `last_loss` is the mean of the last eight logged steps, `validation` maps a step to RR@10 of the validation sample,
    `triplets` is the sha256 of what it was trained on, `geometry` has the figures of geometry.figures.
    """

    steps: int
    last_loss: float
    validation: dict[int, float]
    triplets: str
    cosine_to_base: float
    geometry: dict[str, float]

    @property
    def drift(self) -> float:
        """1 - mean cosine of a passage's vector to its vector under the base checkpoint."""
        return 1 - self.cosine_to_base


@dataclass(frozen=True)
class VariantRuns:
    """A variant's seed runs by name, sorted; none without fine-tuning. `base` is the variant of its base checkpoint."""

    base: str
    seed_runs: dict[str, SeedRun]
    batch: int | None = None

    @property
    def drifts(self) -> np.ndarray:
        """Drift, (seed runs,)."""
        return np.array([seed_run.drift for seed_run in self.seed_runs.values()])


@dataclass(frozen=True)
class Level:
    """How far a checkpoint of the saturation study was trained: from which variant, for how many steps."""

    trained_from: str | None
    steps: int
    last_loss: float | None = None


@dataclass(frozen=True)
class Source:
    """The commit and the machine that ran a part. `device` is not recorded in the cause study."""

    part: str
    commit: str
    versions: dict[str, str]
    threads: str | None = None
    device: str | None = None


@dataclass(frozen=True, eq=False)
class Runs:
    """Parts of a study together.

    values maps (variant, split, measure) to (seed runs, queries), seed runs and queries sorted by name; clusters maps a
    split to (queries,). Only the saturation study has levels.
    """

    variants: dict[str, VariantRuns] = field(default_factory=dict)
    values: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)
    clusters: dict[str, np.ndarray] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)

    def on(self, split: str, measure: str) -> dict[str, np.ndarray]:
        """Variant -> its values (seed runs, queries) on a split by a measure."""
        return {
            variant: values for (variant, *where), values in self.values.items() if tuple(where) == (split, measure)
        }


def read(folder: Path, parts: list[str]) -> Runs | None:
    """Those of the parts that have been run; None where none has.

    Raises UserError where two parts have different values for one variant.
    """
    parts = [part for part in parts if all((folder / f"{part}.{kind}").is_file() for kind in ("json", "parquet"))]
    if not parts:
        return None
    runs = Runs()
    for part in parts:
        _add_training(runs, folder / f"{part}.json")
        _add_values(runs, folder / f"{part}.parquet", folder / f"{parts[0]}.parquet")
    return runs


def _add_training(runs: Runs, path: Path) -> None:
    part = json.loads(path.read_text())
    for name, variant in TypeAdapter(dict[str, VariantRuns]).validate_python(part["variants"]).items():
        runs.variants[name] = replace(variant, seed_runs=dict(sorted(variant.seed_runs.items())))
    runs.levels.update(TypeAdapter(dict[str, Level]).validate_python(part.get("levels", {})))
    runs.sources.append(TypeAdapter(Source).validate_python(part))


def _add_values(runs: Runs, path: Path, first: Path) -> None:
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    measures = [name for name in frame.columns if "@" in name]
    for (variant, split), lines in frame.groupby(["variant", "split"], observed=True):
        for measure in measures:
            wide = lines.pivot(index="seed_run", columns="query_id", values=measure).sort_index(axis=1).to_numpy()
            if not np.array_equal(runs.values.setdefault((variant, split, measure), wide), wide):
                raise UserError(
                    f"{path}: variant '{variant}' has other values than in {first}; run both parts again with the "
                    "same seeds"
                )
        runs.clusters[split] = lines.drop_duplicates("query_id").sort_values("query_id")["cluster"].to_numpy()
