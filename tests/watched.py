"""Run a verb as its command does, and print what it read: keys of params.yaml, and files of the project.

`python -m tests.watched stages.train full-hard --checkpoint ...`; the last line of stdout is JSON.
"""

import json
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages import params
from stages.params import Study
from stages.params.fields import Strict

DRAFT = re.compile(r"(?<=/)\.([^/]+)\.part(?=/|$)")
LIBRARIES = (".venv", "site-packages", "__pycache__")


def published(path: str) -> str:
    """The path of a draft, `.name.part`, once it is whole; a draft may lie in another one's place."""
    whole = DRAFT.sub(r"\1", path)
    return path if whole == path else published(whole)


def watch(study: Study, keys: set[str], patch: Callable[[Any, str, Any], None] = setattr) -> Study:
    """The study; every key of params.yaml that is read of it from now on is added to `keys`: a block, or one in it."""
    blocks = {name: block for name in Study.model_fields if isinstance(block := getattr(study, name), Strict)}
    blocks |= {f"scale.{name}": getattr(study.scale, name) for name in type(study.scale).model_fields}
    prefixes = {id(study): "", **{id(block): f"{name}." for name, block in blocks.items()}}
    asked = Strict.__getattribute__

    def noted(self: Strict, name: str, _kept: Any = (study, blocks)) -> Any:  # so that no id is given again
        value, prefix = asked(self, name), prefixes.get(id(self))
        if prefix is not None and name in type(self).model_fields and f"{prefix}{name}" not in blocks:
            keys.add(f"{prefix}{name}")
        elif prefix and name.startswith("model_"):
            keys.add(prefix.removesuffix("."))
        return value

    patch(Strict, "__getattribute__", noted)
    return study


def main(module: str, *arguments: str) -> None:
    keys: set[str] = set()
    files: set[str] = set()
    here, load = Path.cwd(), params.load

    def opened(event: str, details: tuple) -> None:
        # Folders are opened without a mode.
        if event == "open" and isinstance(details[0], str | os.PathLike) and "r" in str(details[1]):
            path = Path(os.path.abspath(details[0]))
            if path.is_relative_to(here) and not any(name in path.parts for name in LIBRARIES):
                files.add(published(path.relative_to(here).as_posix()))

    own = Path("params.yaml")
    params.load = lambda path=own: watch(load(path), keys) if path == own else load(path)
    sys.addaudithook(opened)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    print(json.dumps({"keys": sorted(keys), "files": sorted(files)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
