"""A row's trained copies, one a seed, each made in a workspace that survives a kill."""
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from stages.core import scratch
from stages.core.files import link, publish


def pretrained(row: str, start: Path, out: Path, log: Path) -> None:
    """The copy of a row without a lesson: its checkpoint, as out/pretrained, and a log of no copies."""
    with publish(out) as draft:
        shutil.copytree(start, draft / "pretrained")
        _write_log(row, [], log)


def train(row: str, stage: str, seeds: list[int], triplets: Path, out: Path, log: Path, key: Callable[[int, Path], str],
          one: Callable[[int, Path, Path], None]) -> None:
    """Train a copy for each seed and put them at out/seed-<n>, with a log of what each one reports.

    `one(seed, lesson, work)` trains on the lesson (a parquet file of triplets) and leaves work/model and, last,
    work/finished.json. `key(seed, lesson)` names all that the copy depends on; a workspace of that name that an earlier,
    killed run finished is taken as it is.
    """
    with ExitStack() as stack, publish(out) as draft:
        made = []
        for seed in seeds:
            lesson = triplets / f"seed-{seed}.parquet"
            work = stack.enter_context(scratch.workspace(stage, key(seed, lesson)))
            if not (work / "finished.json").exists():
                one(seed, lesson, work)
            made.append((seed, work))
        for seed, work in made:
            link(work / "model", draft / f"seed-{seed}")
        _write_log(row, [json.loads((work / "finished.json").read_text()) for _, work in made], log)


def _write_log(row: str, copies: list[dict], log: Path) -> None:
    with publish(log) as draft:
        draft.write_text(json.dumps({"variant": row, "seed_runs": copies}, indent=1) + "\n")
