"""Weights that are already on this machine, found without loading them."""

from importlib import metadata
from pathlib import Path

from stages.core.errors import UserError


def of_source(source: str) -> Path | None:
    """The safetensors file of a folder: or package: source; None where there is none, or the source is elsewhere.

    Raises UserError for a package that is not installed.
    """
    kind, _, name = source.partition(":")
    if kind == "folder":
        paths = [Path(name) / "model.safetensors"]
    elif kind == "package":
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            raise UserError(f"the package {name} is not installed; pip install -r requirements.lock")
        paths = [Path(str(file.locate())) for file in files if file.name == "model.safetensors"]
    else:
        paths = []
    return next((path for path in paths if path.is_file()), None)
