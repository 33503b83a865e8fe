"""The training log of a variant, step by step: reports/training/<variant>.json."""

import json
from pathlib import Path
from typing import Any

from stages.core.errors import UserError


def read(training: Path, variant: str) -> dict[str, Any]:
    """{"variant", "seed_runs": [{"seed", "steps", "trainable", "total", "tensors", "changed", "log", ["best_step"]}]}.

    There are no seed runs for a variant without fine-tuning; an interpolation has "between" beside them. Raises
    UserError where the log is missing.
    """
    path = training / f"{variant}.json"
    if not path.is_file():
        raise UserError(f"{path}: the training log of variant '{variant}' is missing; run dvc repro")
    return json.loads(path.read_text())
