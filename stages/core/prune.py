"""Outputs of variants and corpora that params.yaml no longer names."""

import shutil
from collections.abc import Collection
from pathlib import Path


def remove(folder: Path, *kept: Collection[str]) -> list[str]:
    """Delete what is in `folder` under a name that is not kept, level by level; returns one line for each.

    kept[0] holds the names (or stems) of its entries, kept[1] those of their entries, and so on. Nothing is lost: DVC's
    cache still has it, and a variant that comes back is checked out again.
    """
    lines = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        name = path.stem if path.is_file() else path.name
        if name not in kept[0]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            lines.append(f"{path}: params.yaml has no '{name}' any more; removed")
        elif kept[1:] and path.is_dir():
            lines += remove(path, *kept[1:])
    return lines
