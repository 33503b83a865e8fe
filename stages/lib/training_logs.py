"""What training said of itself, step by step: reports/training/<row>.json."""
import json
from pathlib import Path

from stages.lib.mistakes import Mistake


def of_row(training: Path, row: str) -> dict:
    """{"row", "copies": [{"seed", "steps", "trainable", "total", "log", ...}]}, no copies for a row without a lesson.

    Raises Mistake where it is missing.
    """
    path = training / f"{row}.json"
    if not path.is_file():
        raise Mistake(f"{path}: the training log of row '{row}' is missing; run dvc repro")
    return json.loads(path.read_text())
