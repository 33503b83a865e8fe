"""The cause study's runs as arrays, and the pairs that its questions name."""
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from stages.evaluation import significance
from stages.core.errors import UserError


def read(folder: Path, parts: list[str]) -> dict | None:
    """{"cells", "values", "clusters", "sources"} of those parts that have been run, together; None where none has.

    values maps (row, split, measure) to (copies, queries), queries in sorted order; clusters maps a split to (queries,).
    """
    parts = [part for part in parts if all((folder / f"{part}.{kind}").is_file() for kind in ("json", "parquet"))]
    if not parts:
        return None
    found = {"cells": {}, "values": {}, "clusters": {}, "sources": []}
    for part in parts:
        told = json.loads((folder / f"{part}.json").read_text())
        found["cells"] |= told.pop("cells")
        found["sources"].append(told)
        frame = pq.read_table(folder / f"{part}.parquet").to_pandas()
        measures = [name for name in frame.columns if "@" in name]
        for (row, split), lines in frame.groupby(["variant", "split"], observed=True):
            for measure in measures:
                wide = lines.pivot(index="seed_run", columns="query_id", values=measure).sort_index(axis=1)
                values = found["values"].setdefault((row, split, measure), wide.to_numpy())
                if values.shape != wide.shape or not np.array_equal(values, wide.to_numpy()):
                    raise UserError(f"{folder / part}.parquet: row '{row}' differs from the one in {parts[0]}.parquet; "
                                  f"run both parts again with the same seeds")
            found["clusters"][split] = lines.drop_duplicates("query_id").sort_values("query_id")["cluster"].to_numpy()
    return found


def drift(cell: dict) -> np.ndarray:
    """1 - mean cosine of a passage's vector to its vector under the base, one figure a copy."""
    return np.array([1 - cell["seed_runs"][copy]["cosine_to_base"] for copy in sorted(cell["seed_runs"])])


def best(runs: dict, rows: list[str], split: str, measure: str) -> str:
    """The row of a sweep with the highest mean over copies and queries of a split that is not reported."""
    return max(rows, key=lambda row: runs["values"][row, split, measure].mean())


def at_drift(values: np.ndarray, drifts: np.ndarray, target: float) -> np.ndarray:
    """Per-query values of a sweep at a drift between two of its rates, linear between them.

    values is (rates, queries) and drifts (rates,) of one copy; returns (queries,). The drifts must reach the target.
    """
    order = np.argsort(drifts)
    values, drifts = values[order], drifts[order]
    above = int(np.clip(np.searchsorted(drifts, target), 1, len(drifts) - 1))
    share = (target - drifts[above - 1]) / (drifts[above] - drifts[above - 1])
    return (1 - share) * values[above - 1] + share * values[above]


def common_drifts(runs: dict, sweeps: list[list[str]], count: int) -> list[float]:
    """`count` drifts, evenly inside the range that every copy of every sweep covers; none where there is none."""
    covered = np.array([[drift(runs["cells"][row]) for row in rows] for rows in sweeps])
    low, high = covered.min(axis=1).max(), covered.max(axis=1).min()
    return [float(at) for at in np.linspace(low, high, count + 2)[1:-1]] if low < high else []


def pairs(runs: dict, pair: dict, sweeps: dict, collection: dict, measure: str, drifts: int) -> list[dict]:
    """The (copies, queries) arrays that one pair of a question stands for, each with what it says.

    Where a row has not been run, or two sweeps share no drift, one entry without arrays says so as its verdict.
    """
    try:
        if pair["variant"].endswith(" at drift"):
            rows, against = (sweeps[pair[side].removesuffix(" at drift")] for side in ("variant", "against"))
            targets = common_drifts(runs, [rows, against], drifts)
            return [{"says": f"{pair['says']}, mean cosine to base {1 - target:.3f}",
                     "variant": _swept(runs, rows, collection["split"], measure, target),
                     "against": _swept(runs, against, collection["split"], measure, target)}
                    for target in targets] or [{"says": pair["says"], "verdict": "no drift in common"}]
        names = {side: _named(runs, pair[side], sweeps, collection, measure) for side in ("variant", "against")}
        chosen = [name for side, name in names.items() if name != pair[side]]
        return [{"says": pair["says"] + (f" ({' against '.join(chosen)})" if chosen else ""),
                 **{side: runs["values"][name, collection["split"], measure] for side, name in names.items()}}]
    except KeyError:
        return [{"says": pair["says"], "verdict": "not run"}]


def judge(question: dict, found: list[dict]) -> str:
    """Yes, No, In k of n, Not shown or Not run: what the verdicts of all of a question's pairs amount to."""
    wanted = {"differ": {"worse", "better"}}.get(question["expect"], {question["expect"]})
    hits = sum(pair["verdict"] in wanted for pair in found)
    if all(pair["verdict"] == "not run" for pair in found):
        return "Not run"
    if hits == len(found):
        return "Yes"
    if hits:
        return f"In {hits} of {len(found)}"
    told = {"worse", "better", "no difference"}
    return "No" if all(pair["verdict"] in told for pair in found) else "Not shown"


def compare(pair: dict, clusters: np.ndarray, base: float, report) -> dict:
    """One pair's change in per cent of the base's mean, with everything that significance.change gives."""
    found = significance.change(pair["variant"], pair["against"], clusters, report.significance, report.resamples)
    scaled = {key: None if found[key] is None else 100 * found[key] / base
              for key in ("difference", "low", "high", "detectable")}
    return {"says": pair["says"], "base": float(base), **found, **{f"{key} %": value for key, value in scaled.items()}}


def _named(runs: dict, name: str, sweeps: dict, collection: dict, measure: str) -> str:
    if name.startswith("best "):
        return best(runs, sweeps[name.removeprefix("best ")], collection["choose"], measure)
    return name


def _swept(runs: dict, rows: list[str], split: str, measure: str, target: float) -> np.ndarray:
    values = np.stack([runs["values"][row, split, measure] for row in rows])
    drifts = np.stack([drift(runs["cells"][row]) for row in rows])
    return np.stack([at_drift(values[:, copy], drifts[:, copy], target) for copy in range(values.shape[1])])
