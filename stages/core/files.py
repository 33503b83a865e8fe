"""Outputs appear whole or not at all: write next to the target, flush, rename."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError

FULL = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")
FULL_BY_LIBRARY = ("PytorchStreamWriter failed writing", "iostream error", "unexpected pos", " requested and ")


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield a path to write a file or folder at; it becomes `target` on success.

    On any exception nothing is left behind and an older `target` is untouched.
    Raises UserError when the disk is full, whatever library it is that finds it so.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    _remove(draft)
    try:
        yield draft
        replace(draft, target)
    except Exception as error:
        if is_disk_full(error):
            raise UserError(
                f"{target}: the disk is full; free some space and run again (nothing half-written was kept)"
            )
        raise
    finally:
        _remove(draft)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, is that of a full disk or quota.

    Libraries that write outside of Python say so in words alone: safetensors "os error 28", torch that its writer
    stands elsewhere than it should, numpy how much it wrote of what was requested.
    """
    while error is not None:
        in_code = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if in_code or (
            not isinstance(error, UserError) and any(words in str(error) for words in (*FULL, *FULL_BY_LIBRARY))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def replace(draft: Path, target: Path) -> None:
    """Move a finished file or folder onto `target`, flushed to disk first, across file systems if need be."""
    for path in [draft, *draft.rglob("*")] if draft.is_dir() else [draft]:
        if path.is_file():
            with open(path, "rb+") as handle:
                os.fsync(handle.fileno())
    _remove(target)
    shutil.move(str(draft), str(target))


def link(source: Path, target: Path) -> None:
    """Put a finished file or folder at a second place without moving it; copied where a hard link cannot be."""

    def once(one: Path | str, other: Path | str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy(one, other)

    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=once)
    else:
        once(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
