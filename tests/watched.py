"""Run a verb as its command does, and print what it read: blocks of params.yaml, and files of the project.

`python -m tests.watched stages.train full-hard --checkpoint ...`; the last line of stdout is JSON.
"""

import json
import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any

SEARCHERS = {"retrievers", "interpolations"}
READ = {
    "warnings": {"recipes"},
    "searchers": SEARCHERS,
    "variants": {*SEARCHERS, "rerankers"},
    "trained_on": {*SEARCHERS, "rerankers", "triplets"},
}
DRAFT = re.compile(r"(?<=/)\.([^/]+)\.part(?=/|$)")
LIBRARIES = (".venv", "site-packages", "__pycache__")


def published(path: str) -> str:
    """The path of a draft, `.name.part`, once it is whole; a draft may lie in another one's place."""
    whole = DRAFT.sub(r"\1", path)
    return path if whole == path else published(whole)


class Watched:
    """A study that notes which of its blocks are asked for."""

    def __init__(self, study: Any, blocks: set[str]) -> None:
        self.study, self.blocks = study, blocks

    def __getattr__(self, name: str) -> Any:
        self.blocks.update(READ.get(name, {name}))
        return getattr(self.study, name)


def main(module: str, *arguments: str) -> None:
    from stages import params

    blocks: set[str] = set()
    files: set[str] = set()
    here, load = Path.cwd(), params.load

    def opened(event: str, details: tuple) -> None:
        # Folders are opened without a mode.
        if event == "open" and isinstance(details[0], str | os.PathLike) and "r" in str(details[1]):
            path = Path(os.path.abspath(details[0]))
            if path.is_relative_to(here) and not any(name in path.parts for name in LIBRARIES):
                files.add(published(path.relative_to(here).as_posix()))

    params.load = lambda path=Path("params.yaml"): (
        Watched(load(path), blocks) if path == Path("params.yaml") else load(path)
    )
    sys.addaudithook(opened)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    print(json.dumps({"blocks": sorted(blocks), "files": sorted(files)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
