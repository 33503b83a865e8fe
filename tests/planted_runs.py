"""Planted runs of the controlled studies, in the form of reports/cause and reports/saturation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEED_RUNS = ["seed-13", "seed-14", "seed-15"]
VERSIONS = {"torch": "2", "sentence-transformers": "6"}
STEPS = {
    "base": 0,
    "level-8": 8,
    "level-16": 16,
    "level-32": 32,
    "level-64": 64,
    "level-128": 128,
    "level-512": 512,
    "level-random": 512,
    "blank": 0,
}


def seed_run(drift: float, **changed: Any) -> dict[str, Any]:
    """The training of one seed run."""
    figures = {"steps": 128, "last_loss": 0.2, "validation": {"0": 0.5, "8": 0.6}, "triplets": "a sha256"}
    return {**figures, "cosine_to_base": 1 - drift, "geometry": {"effective_rank": 100 - 100 * drift}, **changed}


def cause(folder: Path, variants: Mapping[str, tuple[float, float]], part: str = "default") -> None:
    """variants maps a name to its mean difference from the base, which has values of 0.2 to 0.7, and its drift."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    lines, trained = [], {"base": {"base": "base", "seed_runs": {}}}
    for split, queries in (("dev", 60), ("test", 200)):
        base = rng.random(queries) * 0.5 + 0.2
        ids = [f"{split}{at}" for at in range(queries)]
        same = {"split": split, "query_id": ids, "cluster": ids}
        lines.append(pd.DataFrame({"variant": "base", "seed_run": "pretrained", **same, "RR@10": base}))
        for variant, (difference, _) in variants.items():
            for name in SEED_RUNS:
                values = base + difference + rng.normal(0, 0.02, queries)
                lines.append(pd.DataFrame({"variant": variant, "seed_run": name, **same, "RR@10": values}))
    for variant, (_, drift) in variants.items():
        trained[variant] = {"base": "base", "batch": 4, "seed_runs": {name: seed_run(drift) for name in SEED_RUNS}}
    _write(folder, part, lines, {"threads": "1", "variants": trained})


def saturation(
    folder: Path,
    slopes: Mapping[str, tuple[float, float]],
    part: str = "default",
    queries: int = 2000,
    random: float = -0.2,
    seed: int = 0,
) -> None:
    """Levels that gain 0.02 for a doubling of steps; slopes maps a recipe to its change for a doubling, and the noise
    of a query. `random` is the difference of level-random from the base, whose values are 0.3 to 0.6; blank has -0.25.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    lines: list[pd.DataFrame] = []
    trained: dict[str, Any] = {}
    for split, count in (("dev", 60), ("test", queries)):
        base = rng.random(count) * 0.3 + 0.3
        ids, clusters = [f"{split}{at:05}" for at in range(count)], [f"c{at // 2}" for at in range(count)]
        same = {"split": split, "query_id": ids, "cluster": clusters}
        for level, steps in STEPS.items():
            doublings = np.log2(1 + steps)
            gain = {"level-random": random, "blank": -0.25}.get(level, 0.02 * doublings)
            values = base + gain + rng.normal(0, 0.01, count)
            lines.append(pd.DataFrame({"variant": level, "seed_run": "pretrained", **same, "RR@10": values}))
            trained[level] = {"base": level, "seed_runs": {}}
            for recipe, (slope, noise) in slopes.items() if level != "blank" else ():
                variant = f"{recipe}_{level}"
                for name in SEED_RUNS:
                    noisy = values + slope * doublings + rng.normal(0, noise / 10) + rng.normal(0, noise, count)
                    lines.append(pd.DataFrame({"variant": variant, "seed_run": name, **same, "RR@10": noisy}))
                seed_runs = {name: seed_run(0.1, triplets=f"sha256 of {name}") for name in SEED_RUNS}
                trained[variant] = {"base": level, "batch": 8, "seed_runs": seed_runs}
    _write(folder, part, lines, {"device": "cpu", "levels": _levels(), "variants": trained})


def _levels() -> dict[str, dict[str, Any]]:
    untrained = {level: {"trained_from": None, "steps": 0} for level, steps in STEPS.items() if not steps}
    trained = {
        level: {"trained_from": "blank" if level == "level-random" else "base", "steps": steps, "last_loss": 0.5}
        for level, steps in STEPS.items()
        if steps
    }
    return {**untrained, **trained}


def _write(folder: Path, part: str, lines: list[pd.DataFrame], training: dict[str, Any]) -> None:
    pd.concat(lines).to_parquet(folder / f"{part}.parquet")
    header = {"part": part, "commit": "f" * 40, "versions": VERSIONS}
    (folder / f"{part}.json").write_text(json.dumps({**header, **training}))
