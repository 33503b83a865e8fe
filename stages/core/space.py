"""Room on the disk, looked at before hours are spent on what would not fit."""

import shutil
from pathlib import Path

from stages.core.errors import UserError

RESERVE = 100_000_000  # bytes that stay free beside what is written
GIGABYTE = 1e9


def require(target: Path, size: float, what: str, remedy: str = "") -> None:
    """Raise UserError where the disk of `target`, which need not exist, lacks `size` bytes for `what`.

    `remedy` is a setting that makes it smaller. The copy that DVC keeps in its cache is not counted, as hard links and
    reflinks take no room (docs/scale.md).
    """
    free = shutil.disk_usage(_existing(target)).free
    if size and size + RESERVE > free:
        instead = f", or {remedy}" if remedy else ""
        raise UserError(
            f"{target}: {size / GIGABYTE:,.1f} GB are needed for {what}, and the disk has {free / GIGABYTE:,.1f} GB "
            f"free; free some{instead}"
        )


def same_disk(one: Path, other: Path) -> bool:
    """Whether what is written to both paths, which need not exist, takes room of one disk."""
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)
