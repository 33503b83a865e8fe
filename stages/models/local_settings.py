"""What the files of a retriever that is on this machine say of it, read without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.models import local_weights, module_paths

FILE = "config_sentence_transformers.json"


def similarity(source: str) -> str | None:
    """The similarity, cosine or dot, of a folder: or package: source; None where it is elsewhere.

    A model that normalises last is searched by cosine also where its files say dot. Raises UserError for a package that
    is not installed.
    """
    folder = _folder(source)
    if folder is None or not (folder / FILE).is_file():
        return None
    modules = list(module_paths.read(folder).values())
    normalizes = bool(modules) and modules[-1].endswith(".Normalize")
    said = json.loads((folder / FILE).read_text()).get("similarity_fn_name")
    return "dot" if said in ("dot", "dot_product") and not normalizes else "cosine"


def configs(source: str) -> list[dict[str, Any]]:
    """config.json of each transformer of a folder: or package: source; none where it is elsewhere.

    Raises UserError for a package that is not installed.
    """
    folder = _folder(source)
    places = [] if folder is None else [folder / place for place in sorted({".", *module_paths.read(folder)})]
    read = [json.loads((place / "config.json").read_text()) for place in places if (place / "config.json").is_file()]
    return [config for config in read if "model_type" in config]


def _folder(source: str) -> Path | None:
    kind, _, name = source.partition(":")
    if kind not in ("folder", "package"):
        return None
    return Path(name) if kind == "folder" else local_weights.package_folder(name)
