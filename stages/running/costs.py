"""How long each stage takes, from earlier runs."""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.core import costs
from stages.core.files import publish

COMMITTED = Path("reports/costs.json")


def known() -> dict[str, float]:
    """Stage -> seconds of its last whole run, on this machine where it ran here, else as committed."""
    committed = {
        entry["name"]: entry["seconds"] for entry in costs.recorded(COMMITTED) if entry["stage"] == costs.WHOLE
    }
    here = {path.stem: json.loads(path.read_text())["seconds"] for path in (costs.ROOT / costs.WHOLE).glob("*.json")}
    return committed | here


def expected(names: Iterable[str], known: Mapping[str, float]) -> dict[str, float | None]:
    """Stage -> seconds: its own, else the median of its kind (train for train@x), else None."""
    kinds: dict[str, list[float]] = {}
    for name, seconds in known.items():
        kinds.setdefault(_kind(name), []).append(seconds)
    medians = {kind: statistics.median(values) for kind, values in kinds.items()}
    return {name: known.get(name, medians.get(_kind(name))) for name in names}


def record(name: str, seconds: float) -> None:
    """Keep the seconds of a stage that ran, with DVC's work before and after it."""
    with publish(costs.ROOT / costs.WHOLE / f"{name}.json") as draft:
        draft.write_text(json.dumps({"seconds": round(seconds, 1)}) + "\n")


def _kind(name: str) -> str:
    """Interpolations are encoded and searched like the others."""
    return name.partition("@")[0].removesuffix("-interpolated")
