"""Outputs of rows and corpora that params.yaml no longer has: a stage that reads a whole folder would count them in."""
import shutil
from collections.abc import Collection
from pathlib import Path


def remove(folder: Path, *kept: Collection[str]) -> list[str]:
    """Delete what lies in `folder` under a name that is not kept, level by level; returns a line about each.

    kept[0] holds the names (or stems) of its entries, kept[1] those of their entries, and so on. Nothing is lost:
    DVC's cache still has it, and a row that comes back is checked out again.
    """
    told = []
    for path in sorted(folder.iterdir()):
        if (path.stem if path.is_file() else path.name) not in kept[0]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            told.append(f"{path}: params.yaml has no '{path.name}' any more; removed")
        elif kept[1:]:
            told += remove(path, *kept[1:])
    return told
