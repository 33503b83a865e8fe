"""Figures rounded before they are written, so that equal runs write equal bytes."""

from typing import Any

import numpy as np


def rounded(value: Any, digits: int = 6) -> Any:
    """A number, or a dict or list of such, with every float rounded and a Python float; anything else as it is."""
    if isinstance(value, dict):
        return {key: rounded(part, digits) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part, digits) for part in value]
    return round(float(value), digits) if isinstance(value, float | np.floating) else value
