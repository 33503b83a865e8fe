"""A model cut to the first layers of its transformer: a smaller one of the same weights, for a ladder of sizes.

What comes after the last layer stays: pooling, Dense layers, a final normalisation, a head. Lines of UserErrors begin
with the key of the checkpoint's block.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.models import module_paths, repository_files

COUNTS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")  # names of a config.json for how many there are


def check(config: Mapping[str, Any], layers: int) -> None:
    """UserError where the model of a config.json does not have more than so many layers, or does not say how many."""
    available = int(config[_key(config)])
    if layers >= available:
        raise UserError(f"layers: {layers} are not fewer than the {available} layers that this model has")


def cut_config(config: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """A config.json with the first layers alone, and those of its lists that have an entry for each layer."""
    key = _key(config)
    kept = {
        name: value[:layers] if isinstance(value, list) and len(value) == config[key] else value
        for name, value in config.items()
    }
    return {**kept, key: layers}


def cut(folder: Path, layers: int) -> None:
    """Cut the transformers of a fetched folder to their first layers, in place.

    Raises UserError for a model that has no more than those, or whose weights have no numbered layers.
    """
    places = [folder / place for place in sorted({".", *module_paths.read(folder)})]
    described = [place for place in places if "model_type" in _json(place / "config.json")]
    if not described:
        raise UserError("layers: this model has no transformer with a config.json; leave it out")
    for place in described:
        config = _json(place / "config.json")
        check(config, layers)
        if _is_weighted(place):
            _cut_weights(place, config[_key(config)], layers)
        (place / "config.json").write_text(json.dumps(cut_config(config, layers), indent=2) + "\n")


def _key(config: Mapping[str, Any]) -> str:
    for name in COUNTS:
        if isinstance(config.get(name), int):
            return name
    raise UserError(f"layers: the model's config.json does not say how many it has ({', '.join(COUNTS)}); leave it out")


def _is_weighted(place: Path) -> bool:
    return any(repository_files.is_base_weights(path.name) for path in place.iterdir())


def _cut_weights(place: Path, available: int, layers: int) -> None:
    """Rewrite the files of weights of a folder without the layers that are left out."""
    files = sorted(path for path in place.iterdir() if repository_files.is_base_weights(path.name))
    weights = {path: _read(path) for path in files}
    gone = left_out((name for tensors in weights.values() for name in tensors), available, layers)
    for path, tensors in weights.items():
        _write({name: values for name, values in tensors.items() if name not in gone}, path)
    for path in (place / name for name in repository_files.INDEXES):
        if path.is_file():
            index = _json(path)
            index["weight_map"] = {name: file for name, file in index["weight_map"].items() if name not in gone}
            path.write_text(json.dumps(index, indent=2) + "\n")


def left_out(names: Iterable[str], available: int, layers: int) -> set[str]:
    """Of dotted names of weights those of layers `layers` and on, in each list of `available` numbered layers.

    Raises UserError where no list is that long.
    """
    numbered = [(name, match[1], int(match[2])) for name in names if (match := re.match(r"(.*?)\.(\d+)\.", f".{name}"))]
    lengths: dict[str, set[int]] = {}
    for _, stack, number in numbered:
        lengths.setdefault(stack, set()).add(number)
    stacks = {stack for stack, numbers in lengths.items() if len(numbers) == available}
    if not stacks:
        raise UserError(
            f"layers: the weights hold no list of {available} layers, as those that share theirs; leave it out"
        )
    return {name for name, stack, number in numbered if stack in stacks and number >= layers}


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(str(path))
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _write(tensors: dict[str, Any], path: Path) -> None:
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(tensors, str(path), {"format": "pt"})
    else:
        import torch

        torch.save(tensors, path)


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
