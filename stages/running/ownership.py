"""Whether params.yaml may be written over: only what is committed, and what a plan wrote and nobody edited."""

import hashlib
import re
import subprocess
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import publish

MARK = re.compile(r"^# Plan ([0-9a-f]{12}), as written: ([0-9a-f]{12})\n", re.MULTILINE)
PARAMS = Path("params.yaml")


def marked(inputs: str, text: str) -> str:
    """A file with a first line that names what it was planned from and how it was written."""
    return f"# Plan {inputs[:12]}, as written: {_digest(text)}\n{text}"


def planned_from(path: Path = PARAMS) -> str | None:
    """What a plan wrote the file from, where nobody has edited it since; else None."""
    written = path.read_text() if path.is_file() else ""
    mark = MARK.match(written)
    return mark[1] if mark and mark[2] == _digest(written[mark.end() :]) else None


def is_of_a_new_plan(path: Path = PARAMS) -> bool:
    """Whether a plan that is not the committed one wrote the file, also where it was edited since."""
    mark = MARK.match(path.read_text()) if path.is_file() else None
    return mark is not None and not (_committed(path) or b"").startswith(mark[0].encode())


def check(path: Path = PARAMS) -> None:
    """UserError where the file holds what neither git has nor a plan wrote."""
    if not path.is_file() or planned_from(path) or _committed(path) == path.read_bytes():
        return
    raise UserError(
        f"{path}: was edited, and a plan would write over it; run it with make reproduce, keep it with git commit, or "
        f"say --force (make study FORCE=1)"
    )


def write(text: str, path: Path = PARAMS) -> None:
    """Write the file, whole or not at all."""
    with publish(path) as draft:
        draft.write_text(text)


def _committed(path: Path) -> bytes | None:
    """The file as the last commit has it; None where it has none, or there is no git."""
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{path.name}"], capture_output=True, cwd=path.parent or None)
    except OSError:
        return None
    return None if shown.returncode else shown.stdout


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
