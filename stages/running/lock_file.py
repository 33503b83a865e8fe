"""dvc.lock as text: one entry replaced at a time, whole or not at all, in an order that does not tell who ended first.

DVC reads and writes the whole file again after every stage, which takes a second or two for a hundred stages and can
leave it empty when DVC is killed. Here DVC formats the one entry, and the file is replaced by one rename.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.core.files import publish

LOCK = Path("dvc.lock")
KEPT = Path(".dvc/tmp/dvc.lock")
ENTRY = re.compile(r"^  (?=\S)", re.MULTILINE)
HEAD = "schema: '2.0'\nstages:\n"


def entries(text: str) -> dict[str, str] | None:
    """The raw key of each stage -> its lines; None where the text is not a dvc.lock of stages alone."""
    if not text.startswith(HEAD) or not text.endswith("\n"):
        return None
    parts = ENTRY.split(text.removeprefix(HEAD))
    if parts[0]:
        return None
    return {part.partition(":\n")[0]: part for part in parts[1:]}


def text(entries: Mapping[str, str]) -> str:
    """A dvc.lock of these entries, in their order."""
    return HEAD + "".join(f"  {entry}" for entry in entries.values())


def entry(name: str, content: Mapping[str, Any]) -> dict[str, str]:
    """One stage as DVC's own writer puts it into dvc.lock: its raw key and its lines."""
    from dvc.utils.serialize import dumps_yaml

    (key, lines), *others = (entries(dumps_yaml({"schema": "2.0", "stages": {name: content}})) or {"": ""}).items()
    if not key or others:
        raise ValueError(f"dvc.lock: DVC writes the entry of {name} in a form that is not known here")
    return {key: lines}


def put(name: str, content: Mapping[str, Any]) -> bool:
    """Set a stage's entry in dvc.lock; False where the file has a form that is not known here, and is left alone."""
    there = entries(LOCK.read_text()) if LOCK.exists() else {}
    if there is None:
        return False
    written = text({**there, **entry(name, content)})
    if not LOCK.exists() or written != LOCK.read_text():
        _write(written)
    return True


def order(stages: Iterable[str]) -> None:
    """Sort the entries: those of the commit first, as they are there, then the others in the order of `stages`."""
    there = entries(LOCK.read_text()) if LOCK.exists() else None
    if there is None:
        return
    plain = {key: key.strip("'\"") for key in there}
    place = {name: at for at, name in enumerate([*(entries(committed()) or {}), *stages][::-1])}
    ordered = dict(sorted(there.items(), key=lambda item: -place.get(item[0], place.get(plain[item[0]], -1))))
    if list(ordered) != list(there):
        _write(text(ordered))


def is_cut() -> bool:
    """Whether dvc.lock is empty or ends within a line, as a process leaves it that is killed while it writes."""
    return LOCK.exists() and not LOCK.read_text().endswith("\n")


def mend() -> str:
    """Put the copy that the last run kept, else that of the commit, in dvc.lock's place; what was done, as one line.

    A stage whose entry is not in it, or is an older one, runs again or comes from DVC's cache: dvc.lock only says what
    need not be run.
    """
    for source, known in (("the copy that the last run kept", _kept()), ("the commit", committed())):
        if known:
            _write(known)
            return f"dvc.lock: a killed process left it broken; brought back from {source}"
    LOCK.unlink()
    return "dvc.lock: a killed process left it broken, and there is no copy; removed, so every stage is looked at anew"


def keep() -> None:
    """Copy dvc.lock to where `mend` looks for it."""
    if LOCK.exists() and entries(LOCK.read_text()):
        with publish(KEPT) as draft:
            shutil.copy(LOCK, draft)


def committed() -> str:
    """dvc.lock as it was last committed; empty where there is none, or no git."""
    try:
        done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def outputs(text: str) -> dict[str, str]:
    """Path -> md5 of everything that the stages of a dvc.lock wrote."""
    from ruamel.yaml import YAML

    stages = (YAML(typ="safe").load(text) or {}).get("stages", {}) if text else {}
    return {out["path"]: out.get("md5", "") for stage in stages.values() for out in stage.get("outs", [])}


def _kept() -> str:
    found = KEPT.read_text() if KEPT.exists() else ""
    return found if entries(found) else ""


def _write(text: str) -> None:
    with publish(LOCK) as draft:
        draft.write_text(text)
