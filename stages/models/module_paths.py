"""Which folders of a model hold its modules, as modules.json and the configurations of its routers name them."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.errors import UserError

ROUTERS = ("Router", "Asym")  # classes of sentence-transformers that hold further modules, in folders of their own


def read(folder: Path) -> dict[str, str]:
    """The class of each module of a model's folder, by its relative folder ("." for the root), routers' parts included.

    Empty for a folder without modules.json. Raises UserError for one of these files that is not as it should be.
    """
    try:
        listed = {_normal(each["path"]): each["type"] for each in _json(folder / "modules.json") or []}
        for path, kind in list(listed.items()):
            if kind.rpartition(".")[2] in ROUTERS:
                parts = {**_json(folder / path / "config.json"), **_json(folder / path / "router_config.json")}
                listed.update({_normal(f"{path}/{name}"): part for name, part in parts.get("types", {}).items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"source: {folder / 'modules.json'} is no list of modules with path and type ({reason})")
    return listed


def _normal(path: str) -> str:
    return PurePosixPath(path).as_posix()


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else {}
