"""Whether a model needs code of its own, which runs only where params.yaml allows it."""

import json
from pathlib import Path

from stages.core.errors import UserError


def check(folder: Path, remote_code: bool) -> None:
    """Raises UserError where a fetched folder needs code of its own and `remote_code` does not allow it."""
    path = folder / "config.json"
    if not remote_code and path.is_file() and "auto_map" in json.loads(path.read_text()):
        raise UserError(
            "remote_code: this model needs code of its own; read that code, and say remote_code: true if it may run "
            "here"
        )
