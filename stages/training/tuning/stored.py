"""Whether weights on disk have the layers that a tuning names, found without loading them."""

import importlib
from pathlib import Path

from stages.params.tuning import FineTuning
from stages.training import tuning


def check(weights: Path, block: FineTuning) -> None:
    """UserError where a safetensors file lacks a layer that a tuning block names."""
    importlib.import_module(tuning.module(block.kind)).check(shapes(weights), block)


def shapes(weights: Path) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of all two-dimensional weights in a safetensors file but embeddings, read from its header."""
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        found = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in found.items()
        if name.endswith(".weight") and len(shape) == 2 and "embedding" not in name
    }
