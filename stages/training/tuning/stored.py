"""Whether weights on disk have the layers that a tuning names, read from their header."""

import importlib
from pathlib import Path

from stages.params.tuning import FineTuning
from stages.training import tuning


def check(weights: Path, block: FineTuning) -> None:
    """UserError where a safetensors file lacks a layer that a tuning block names."""
    importlib.import_module(tuning.module(block.kind)).check(shapes(weights), block)


def shapes(weights: Path) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of all two-dimensional weights in a safetensors file but embeddings, by dotted name."""
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        sizes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return {
        name.removesuffix(".weight"): (size[0], size[1])
        for name, size in sizes.items()
        if name.endswith(".weight") and len(size) == 2 and "embedding" not in name
    }
