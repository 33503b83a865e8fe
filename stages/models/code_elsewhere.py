"""Code that a model takes from another repository: brought at a pinned revision, and named where it then lies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.errors import UserError
from stages.models import hub


def bring(folder: Path, source: str) -> None:
    """Copy the code of `source`, hub:<id>@<commit> or folder:<path>, into a model's root.

    Where the model's configurations say `<repository>--<module>.<class>` they then say `<module>.<class>`. Raises
    UserError for a source without code, and for one that the model takes no code from.
    """
    kind, _, name = source.partition(":")
    repository, _, revision = name.rpartition("@")
    found = hub.code(repository, revision) if kind == "hub" else sorted(paths.of_user(name).glob("*.py"))
    if not found:
        raise UserError(f"code: {source} holds no code (*.py)")
    prefix = f"{repository}--" if kind == "hub" else None
    if not sum([_renamed(path, prefix) for path in sorted(folder.rglob("*.json"))]):
        raise UserError(
            f"code: the model takes no code from {name}; leave code out, or name the repository that it says"
        )
    for path in found:
        shutil.copy(path, folder / path.name)


def _renamed(path: Path, prefix: str | None) -> bool:
    """Whether an auto_map in a JSON file named code by this prefix (any where it is None), which is now taken off."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "auto_map" not in content:
        return False
    renamed = _each_text(content["auto_map"], lambda name: _at_home(name, prefix))
    if renamed == content["auto_map"]:
        return False
    path.write_text(json.dumps({**content, "auto_map": renamed}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return True


def _at_home(name: str, prefix: str | None) -> str:
    return name.rpartition("--")[2] if prefix is None or name.startswith(prefix) else name


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _each_text(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [_each_text(each, change) for each in value]
    return change(value) if isinstance(value, str) else value
