"""Code that a model brings with it: found before anything is loaded, and run only where params.yaml allows it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.models import module_paths

KNOWN = ("sentence_transformers.", "pylate.models.Dense.Dense")  # what the library has itself, PyLate's under its name


def check(folder: Path, remote_code: bool) -> None:
    """UserError where a fetched folder needs code of its own and `remote_code` is false, or where it cannot run.

    Such code is named by auto_map, in the configuration of the network or of its tokenizer; by a class in modules.json
    that is not sentence-transformers'; or by an activation function that is not torch's. Without it the libraries may
    run another network, without a word where they know the model_type. Code in another repository (auto_map of
    `<repository>--<module>.<class>`) is refused in any case: no revision pins it.
    """
    needed = dict(_named(folder))
    if elsewhere := [name for name in needed if "--" in name]:
        repository = elsewhere[0].partition("--")[0]
        raise UserError(
            f"source: {needed[elsewhere[0]]} takes code from another repository, {repository}, which no revision pins; "
            f"read it, and say code: hub:{repository}@<commit> next to remote_code: true (or take auto_map out of a "
            f"copy, if the library's own network is meant, and say folder:<path>)"
        )
    if needed and not remote_code:
        name, place = next(iter(needed.items()))
        raise UserError(
            f"remote_code: this model needs code of its own ({name}, named in {place}); read that code, and say "
            f"remote_code: true if it may run here"
        )
    for name, place in needed.items():
        _check_present(folder, name, place)


def _named(folder: Path) -> Iterator[tuple[str, str]]:
    """The classes that are not the libraries', and the file that names each."""
    for path in sorted(folder.rglob("*.json")):
        place = path.relative_to(folder).as_posix()
        settings = _settings(path)
        for name in _texts(settings.get("auto_map")):
            yield name, place
        for name in _activations(settings):
            if "." in name and not name.startswith("torch."):
                yield name, place
    for kind in module_paths.read(folder).values():
        if not kind.startswith(KNOWN):
            yield kind, "modules.json"


def _settings(path: Path) -> dict[str, Any]:
    """What a JSON file holds if it is an object; those that are too large for settings are not read."""
    if path.name in ("tokenizer.json", "vocab.json") or path.name.endswith(".index.json"):
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _activations(settings: dict[str, Any]) -> Iterator[str]:
    """Names of activation functions in the settings of a Dense module or of a cross-encoder."""
    if "in_features" in settings:
        yield from _texts(settings.get("activation_function"))
    nested = settings.get("sentence_transformers")
    for place in (settings, nested if isinstance(nested, dict) else {}):
        yield from _texts(place.get("activation_fn"))
    yield from _texts(settings.get("sbert_ce_default_activation_function"))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _check_present(folder: Path, name: str, place: str) -> None:
    """UserError where the module of a class is neither a file of the root nor installed, or needs a package."""
    from transformers.dynamic_module_utils import get_imports

    module = name.rpartition(".")[0]
    own = folder / f"{module}.py"
    if not own.is_file():
        if not _is_installed(module.partition(".")[0]):
            raise UserError(
                f"source: {module}.py, which {place} names, is not in the model's root, where the libraries look for it"
            )
        return
    for package in get_imports(str(own)):
        if not _is_installed(package):
            raise UserError(f"source: the model's own code, {own.name}, imports {package}; pip install {package}")


def _is_installed(package: str) -> bool:
    return bool(package) and importlib.util.find_spec(package) is not None
