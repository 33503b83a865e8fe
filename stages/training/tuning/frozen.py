"""Freezing: the embeddings and the first layers stay as they are, all other weights are trained."""

import re
from typing import Any

from stages.core.errors import UserError
from stages.models import towers
from stages.params.tuning import FrozenTuning
from stages.training import weights


def apply(model: Any, tuning: FrozenTuning, head: list[str]) -> None:
    """Freeze the lower parts of each tower."""
    for body in towers.bodies(model).values():
        for part in lower_parts(body.model, tuning.layers):
            part.requires_grad_(False)


def expected(part: Any, tuning: FrozenTuning, head: list[str]) -> int:
    """All parameters of a tower but those of its lower parts."""
    return weights.size(part) - sum(weights.size(lower) for lower in lower_parts(part[0].model, tuning.layers))


def check(shapes: dict[str, tuple[int, int]], tuning: FrozenTuning) -> None:
    """UserError where weights of these shapes, by dotted name, have no more layers than are to be frozen."""
    numbered = {match.groups() for name in shapes if (match := re.match(r"(.*?)\.(\d+)\.", name))}
    stacks = [stack for stack, _ in numbered]
    check_layers(tuning.layers, max(map(stacks.count, stacks), default=0))


def lower_parts(body: Any, layers: int) -> list[Any]:
    """The embeddings and the first `layers` layers of a transformer; UserError where it has no more than those.

    Its layers are its longest ModuleList, its embeddings the smallest part of it that holds the input embeddings.
    """
    import torch

    stacks = [module for module in body.modules() if isinstance(module, torch.nn.ModuleList)]
    stack: list[Any] = max(stacks, key=len, default=[])
    check_layers(layers, len(stack))
    words = body.get_input_embeddings()
    holders = (part for part in body.base_model.children() if words in set(part.modules()))
    return [min(holders, key=weights.size), *stack[:layers]]


def check_layers(layers: int, available: int) -> None:
    if layers >= available:
        raise UserError(
            f"layers of tuning kind frozen: {layers} would be frozen and the model has {available}; at least one must "
            f"be left to train"
        )
