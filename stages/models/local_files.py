"""The files on this machine that a checkpoint is made of, where its source is a folder or a run file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.core import paths
from stages.core.errors import UserError
from stages.models import adapter_repositories, fetch
from stages.params.models import Start

RUN, FOLDER = "trec:", "folder:"


def of(checkpoint: Start) -> dict[str, Path]:
    """The files by the key that names their folder and their path in it, as stage `checkpoint` copies them.

    None of a source that is elsewhere or in a package, and none where they are not there: that stage says so.
    """
    try:
        return dict(sorted(_of(checkpoint)))
    except (UserError, OSError):
        return {}


def _of(checkpoint: Start) -> Iterator[tuple[str, Path]]:
    source = checkpoint.source
    if source.startswith(RUN) and (path := paths.of_user(source.removeprefix(RUN))).is_file():
        yield "source", path
    if root := _folder(source):
        yield from _named("source", root, fetch.loaded(root))
        if base := _folder(checkpoint.adapter_base):
            for place in adapter_repositories.places(root):
                if not adapter_repositories.has_base(place):
                    own, _, names = adapter_repositories.base_files(base, place)
                    yield from _named("adapter_base", own, names)
    elif base := _folder(checkpoint.adapter_base):
        yield from _named("adapter_base", base, fetch.loaded(base))
    if root := _folder(checkpoint.code):
        yield from _named("code", root, [path.name for path in root.glob("*.py")])


def _folder(source: str | None) -> Path | None:
    """The folder that a source names, None where it names another kind of place or is not there."""
    root = paths.of_user(source.removeprefix(FOLDER)) if source and source.startswith(FOLDER) else None
    return root if root and root.is_dir() else None


def _named(key: str, root: Path, names: list[str]) -> Iterator[tuple[str, Path]]:
    return ((f"{key}/{name}", root / name) for name in names)
