"""Models as their sources have them: from the hub, an installed package, or a folder.

Lines of UserErrors begin with the key of the checkpoint's block that is wrong.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from stages.core import fingerprint, paths
from stages.core.errors import UserError
from stages.models import adapter_repositories, hub, local_weights, module_paths, repository_files
from stages.models.repository_files import wanted

DESCRIBED = ("config.json", "modules.json", "adapter_config.json")  # one of which every model has


def fetch(source: str, folder: Path, adapter_base: str | None = None) -> None:
    """Copy what a model is loaded from out of hub:<id>@<revision>, package:<distribution> or folder:<path>.

    The files are those of repository_files.wanted, wherever they come from. Where they are an adapter alone, the
    transformer that it adapts comes as well, next to it, and adapter_repositories.merge makes one model of the two: it
    is the one that `adapter_base`, a source, names, or else the one that the adapter's own configuration pins. Raises
    UserError where there is no such model, where it has no weights that are loaded here, and where an adapter's base is
    not known.
    """
    root = _located(source, "source")
    copy(root, folder, loaded(root))
    alone = [place for place in adapter_repositories.places(folder) if not adapter_repositories.has_base(place)]
    if adapter_base and not alone:
        raise UserError("adapter_base: the source has weights of its own and no base; leave adapter_base out")
    for place in alone:
        base = _located(adapter_base or adapter_repositories.pinned_base(place), "adapter_base")
        copy(*adapter_repositories.base_files(base, place))
    if not local_weights.below(folder):
        raise UserError(f"source: {repository_files.without_weights(_files(root))}")
    if any("adapter_kwargs" in path.read_text() for path in folder.rglob("sentence_bert_config.json")):
        raise UserError("source: has an adapter that could not be merged; name the model that it was trained from")


def checked_sha256(folder: Path, expected: str | None) -> str:
    """The sha256 of a fetched folder's weights, those of modules, adapters and their bases included.

    That of the file where there is one, else one over the relative paths and the sha256 of all. Raises UserError where
    weights are missing, and where another sha256 is expected.
    """
    weights = local_weights.below(folder)
    if not weights:
        raise UserError(f"source: {repository_files.without_weights(_files(folder))}")
    for sentence in local_weights.missing(folder):
        raise UserError(f"source: {sentence}")
    hashes = [(path, fingerprint.of_file(folder / path)) for path in weights]
    sha256 = hashes[0][1] if len(hashes) == 1 else fingerprint.of_values(*hashes)
    if expected and sha256 != expected:
        name = Path(weights[0]).name if len(weights) == 1 else f"the {len(weights)} files of weights together"
        raise UserError(
            f"sha256: {name} has sha256 {sha256}, params.yaml asks for {expected}; fetch it again, or "
            f"correct the hash if you mean these weights"
        )
    return sha256


def copy(root: Path, folder: Path, files: Iterable[str]) -> None:
    """Copy files, given by relative paths, out of one folder into another; links become what they point to."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / file, folder / file)


def _located(source: str, key: str) -> Path:
    """The folder on this machine that holds a source's model; where there is none, UserError that begins with `key`."""
    kind, _, name = source.partition(":")
    try:
        if kind == "hub":
            return hub.snapshot(*name.rsplit("@", 1))
        if kind == "package":
            return local_weights.package_folder(name)
    except UserError as error:
        raise UserError(f"{key}: {error}")
    root = paths.of_user(name)
    if not _is_described(root):
        inner = sorted(path.name for path in root.glob("*/") if _is_described(path))
        hint = f"; name one of its folders: {', '.join(inner[:5])}" if inner else ""
        raise UserError(f"{key}: {name} holds no model (none of {', '.join(DESCRIBED)}){hint}")
    return root


def _is_described(folder: Path) -> bool:
    return any((folder / file).is_file() for file in DESCRIBED)


def loaded(root: Path) -> list[str]:
    """Relative paths of those of a folder's files that a model is loaded from."""
    return wanted(_files(root), module_paths.read(root))


def _files(root: Path) -> list[str]:
    """Relative paths of all files below a folder; links are followed, hidden folders and circles are not."""
    files, seen = [], set()
    for place, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real not in seen:
            files += [(Path(place) / name).relative_to(root).as_posix() for name in names]
        seen.add(real)
    return [file for file in files if (root / file).is_file()]
