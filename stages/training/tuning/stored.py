"""Whether weights on disk have the layers that a tuning names, read from their headers."""

import importlib
from collections.abc import Iterable
from pathlib import Path

from stages.core.errors import UserError
from stages.params.tuning import FineTuning
from stages.training import tuning


def check(weights: Iterable[Path], block: FineTuning) -> None:
    """UserError where safetensors files, shards or towers of a model, lack a layer that a tuning block names."""
    known = {name: size for path in weights for name, size in shapes(path).items()}
    importlib.import_module(tuning.module(block.kind)).check(known, block)


def shapes(weights: Path) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of all two-dimensional weights in a safetensors file but embeddings, by dotted name.

    Raises UserError for a file that is not whole.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as tensors:
            sizes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{weights}: is no whole safetensors file ({error}); fetch it again")
    return {
        name.removesuffix(".weight"): (size[0], size[1])
        for name, size in sizes.items()
        if name.endswith(".weight") and len(size) == 2 and "embedding" not in name
    }
