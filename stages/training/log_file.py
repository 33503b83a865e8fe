"""What training said of itself, step by step: reports/training/<row>.json."""
import json
from pathlib import Path

from stages.core.errors import UserError


def of_row(training: Path, row: str) -> dict:
    """{"variant", "seed_runs": [{"seed", "steps", "trainable", "total", "log", ...}]}, no copies for a row without a lesson.

    Raises UserError where it is missing.
    """
    path = training / f"{row}.json"
    if not path.is_file():
        raise UserError(f"{path}: the training log of row '{row}' is missing; run dvc repro")
    return json.loads(path.read_text())
