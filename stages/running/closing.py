"""What a run ends with: the answer, whether it is the committed one, where everything is, and what to do next."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stages.running import lock_file

ANSWER = Path("reports/answer.json")
PAGE = Path("reports/index.html")
PLAN = Path("reports/plan.md")


def lines() -> Iterator[str]:
    """The answer in a few lines; nothing of what is not there."""
    if ANSWER.exists():
        yield from json.loads(ANSWER.read_text())["brief"]
    if same := same_bytes():
        yield same
    if PAGE.exists():
        yield f"The whole report: {PAGE}{f'; the plan that it followed: {PLAN}' if PLAN.exists() else ''}"
    if ANSWER.exists():
        yield "Next: change a number with python -m stages.reproduce -S lora.rank=8, then compare with dvc metrics diff"


def same_bytes() -> str | None:
    """Whether every output has the bytes of the commit, and which has not; None without git or a committed dvc.lock."""
    committed = lock_file.outputs(lock_file.committed())
    if not committed:
        return None
    if _changed("params.yaml"):
        return "params.yaml is not the committed one: dvc metrics diff says what came of it"
    now = lock_file.outputs(lock_file.LOCK.read_text())
    differ = sorted(path for path, md5 in now.items() if committed.get(path) != md5)
    if not differ:
        return "The same bytes as committed: yes"
    more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
    return f"The same bytes as committed: no, {', '.join(differ[:3])}{more}"


def _changed(path: str) -> bool:
    return bool(subprocess.run(["git", "status", "--porcelain", "--", path], capture_output=True, text=True).stdout)
