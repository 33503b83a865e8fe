"""Which base model is meant."""

from pathlib import Path
from typing import Any

from stages.core import paths, yaml_file
from stages.core.errors import UserError
from stages.models import local_files
from stages.params.models import Start

OWN = ("tokens", "query_tokens", "passage_tokens")  # what the plan decides


def block(base: str | None, params: Path) -> dict[str, Any]:
    """The block `base` without its lengths: of the source that is named, or as the params file has it.

    Raises UserError where neither names a model.
    """
    if base is None:
        there = (yaml_file.load(params) or {}).get("base") if params.is_file() else None
        if not there:
            raise UserError(
                "BASE: name a retriever, as in BASE=hub:<id>@<commit>, folder:<path> or package:<distribution>"
            )
        return {key: value for key, value in there.items() if key not in OWN}
    if base.startswith("hub:") and "@" not in base:
        return {"source": f"{base}@{_newest(base.removeprefix('hub:'))}"}
    if base.startswith(("hub:", "package:")):
        return {"source": base}
    folder = base.removeprefix("folder:")
    if not paths.of_user(folder).is_dir():
        raise UserError(
            f"--base: there is no folder {folder}; name hub:<id>@<commit>, folder:<path> or package:<distribution>"
        )
    return {"source": f"folder:{folder}"}


def start(block: dict[str, Any]) -> Start:
    """The block, checked. Raises UserError."""
    from pydantic import ValidationError

    try:
        return Start.model_validate(block)
    except ValidationError as error:
        raise UserError(f"BASE: {error.errors()[0]['msg'].removeprefix('Value error, ')}")


def state(start: Start) -> list[list[object]]:
    """What changes with the model's files on this machine: their names, sizes and times; [] where it has none."""
    seen = {name: path.stat() for name, path in local_files.of(start).items()}
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in seen.items()]


def _newest(name: str) -> str:
    """The commit that the hub has now."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().model_info(name).sha)
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise UserError(
            f"BASE: hub:{name} names no commit, and the hub did not say its newest ({reason}); add @<commit>"
        )
