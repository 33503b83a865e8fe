"""Full fine-tuning: every weight is trained."""

from typing import Any

from stages.params.tuning import FullTuning
from stages.training import weights


def apply(model: Any, tuning: FullTuning, head: list[str]) -> None:
    """Nothing to do: a loaded model's weights are all trainable."""


def expected(part: Any, tuning: FullTuning, head: list[str]) -> int:
    """All parameters of a tower."""
    return weights.size(part)


def check(shapes: dict[str, tuple[int, int]], tuning: FullTuning) -> None:
    """Nothing to check: no layer is named."""
