"""What a row starts from, as a folder: architecture.json says its shape, the rest is what that shape needs."""
import json
from pathlib import Path


def shape(folder: Path) -> dict:
    """The architecture.json of a checkpoint's or a model's folder: {"architecture": one that params.yaml can say, ...}."""
    return json.loads((Path(folder) / "architecture.json").read_text())


def replicates(row: Path) -> list[Path]:
    """The folders of a row's trained copies (seed-<n>), or of its only one (untrained), sorted by name."""
    return sorted(folder for folder in Path(row).iterdir() if folder.is_dir())
