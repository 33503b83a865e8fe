"""What a run ends with: the answer, whether it is the committed one, where everything is, and what to do next."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stages.running import lock_file

TABLE = Path("reports/table.md")
PAGE = Path("reports/index.html")
MODELS = Path("data/models")
PARAGRAPHS = 3


def lines() -> Iterator[str]:
    """The answer in a few lines; nothing of what is not there."""
    answer = answer_lines()
    yield from answer[:PARAGRAPHS]
    if same := same_bytes():
        yield same
    if PAGE.exists():
        yield f"The whole report: {PAGE}"
    if model := best_model(answer):
        yield f"The model: {model}"
    if answer:
        yield "Next: change a number with python -m stages.reproduce -S lora.rank=8, then compare with dvc metrics diff"


def answer_lines() -> list[str]:
    """The paragraphs before the first table of the answer, as plain text but for names in backticks."""
    text = TABLE.read_text().partition("\n|")[0] if TABLE.exists() else ""
    return [" ".join(part.split()).replace("**", "") for part in text.split("\n\n") if part.strip()]


def best_model(answer: list[str]) -> Path | None:
    """The folder of the variant that the answer names first; None where it names none."""
    named = re.search(r"`([\w.-]+)`", answer[0]) if answer else None
    folder = MODELS / named[1] if named else None
    return folder if folder and folder.is_dir() else None


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
