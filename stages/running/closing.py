"""What a run ends with: the answer, whether it is the committed one, where everything is, and what to do next."""

import json
import subprocess
from collections.abc import Iterator, Set
from pathlib import Path

from stages import params
from stages.params.tuning import LoraTuning, NoTuning
from stages.running import lock_file, ownership

ANSWER = Path("reports/answer.json")
PAGE = Path("reports/index.html")
PLAN = Path("reports/plan.md")
PARAMS = "params.yaml"


def lines(had: Set[str]) -> Iterator[str]:
    """The answer in a few lines, of a run that had these stages and none that failed; nothing of what is not there.

    Reports whose stages were not among them may be another study's, and are not shown.
    """
    answered = "report" in had and ANSWER.exists()
    if answered:
        yield from json.loads(ANSWER.read_text())["brief"]
    if same := same_bytes():
        yield same
    if "page" in had and PAGE.exists():
        yield f"The whole report: {PAGE}{f'; the plan that it followed: {PLAN}' if PLAN.exists() else ''}"
    if answered:
        yield f"Next: {change(params.load())}, then compare with dvc metrics diff"
    if had.isdisjoint(("report", "page")) and (ANSWER.exists() or PAGE.exists()):
        yield f"The reports in {ANSWER.parent}/ are of an earlier run; make reproduce writes them"


def change(study: params.Study) -> str:
    """How to change a number of a study: the rank of LoRA where a variant trains with it, else a learning rate."""
    variants = [*study.trained.values(), *study.rerankers.values()]
    used = {block.tuning: study.tunings[block.tuning] for block in variants if study.recipes[block.recipe]}
    ranks = [f"{name}.rank={8 if one.rank != 8 else 16}" for name, one in used.items() if isinstance(one, LoraTuning)]
    rates = [f"{name}.lr={one.lr / 2:g}" for name, one in used.items() if not isinstance(one, NoTuning)]
    if not (settings := ranks + rates):
        return f"change a number in {PARAMS} and run make reproduce"
    return f"change a number with python -m stages.reproduce -S {settings[0]}"


def same_bytes() -> str | None:
    """Whether every output has the bytes of the commit, and which has not; None without git or a committed dvc.lock."""
    committed = lock_file.outputs(lock_file.committed())
    if not committed:
        return None
    if _changed(PARAMS):
        if ownership.is_of_a_new_plan(Path(PARAMS)):
            return f"{PARAMS} is a plan's: commit this study first, so that dvc metrics diff compares with it"
        return f"{PARAMS} is not the committed one: dvc metrics diff says what came of it"
    now = lock_file.outputs(lock_file.LOCK.read_text())
    differ = sorted(path for path, md5 in now.items() if committed.get(path) != md5)
    if not differ:
        return "The same bytes as committed: yes"
    more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
    return f"The same bytes as committed: no, {', '.join(differ[:3])}{more}"


def _changed(path: str) -> bool:
    return bool(subprocess.run(["git", "status", "--porcelain", "--", path], capture_output=True, text=True).stdout)
