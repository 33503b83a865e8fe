"""How long each stage takes, from earlier runs."""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.core import costs, fingerprint
from stages.core.files import publish
from stages.running import kinds

COMMITTED = Path("reports/costs.json")
PLANNED = costs.ROOT / "planned.json"
PARAMS = Path("params.yaml")


def known() -> dict[str, float]:
    """Stage -> seconds of its last whole run, on this machine where it ran here, else as committed.

    Before what ran earlier come the seconds of a plan, as long as params.yaml is the one that it wrote.
    """
    committed = {
        entry["name"]: entry["seconds"] for entry in costs.recorded(COMMITTED) if entry["stage"] == costs.WHOLE
    }
    planned, since = _planned()
    files = sorted((costs.ROOT / costs.WHOLE).glob("*.json"))
    before, after = (
        [path for path in files if (path.stat().st_mtime > since) == is_after] for is_after in (False, True)
    )
    return committed | _seconds(before) | planned | _seconds(after)


def plan(seconds: Mapping[str, float], params: Path) -> None:
    """Keep what each stage of this params file is planned to take."""
    with publish(PLANNED) as draft:
        draft.write_text(json.dumps({"params": fingerprint.of_file(params), "seconds": dict(seconds)}, indent=1) + "\n")


def _planned() -> tuple[dict[str, float], float]:
    """The seconds of the plan of this params.yaml, and when it was made; none of another file's."""
    kept = json.loads(PLANNED.read_text()) if PLANNED.is_file() and PARAMS.is_file() else {}
    if not kept or kept["params"] != fingerprint.of_file(PARAMS):
        return {}, 0.0
    return kept["seconds"], PLANNED.stat().st_mtime


def _seconds(files: Iterable[Path]) -> dict[str, float]:
    return {path.stem: json.loads(path.read_text())["seconds"] for path in files}


def expected(names: Iterable[str], known: Mapping[str, float]) -> dict[str, float | None]:
    """Stage -> seconds: its own, else the median of its kind (train for train@x), else None."""
    by_kind: dict[str, list[float]] = {}
    for name, seconds in known.items():
        by_kind.setdefault(kinds.of(name), []).append(seconds)
    medians = {kind: statistics.median(values) for kind, values in by_kind.items()}
    return {name: known.get(name, medians.get(kinds.of(name))) for name in names}


def record(name: str, seconds: float) -> None:
    """Keep the seconds of a stage that ran, with DVC's work before and after it."""
    with publish(costs.ROOT / costs.WHOLE / f"{name}.json") as draft:
        draft.write_text(json.dumps({"seconds": round(seconds, 1)}) + "\n")
