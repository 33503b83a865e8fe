"""The layers after a reranker's transformer, a projection or a head: they are trained with any tuning."""

from typing import Any

from stages.training import weights


def make_trainable(model: Any) -> None:
    """Make all weights after the transformer trainable."""
    for parameter in weights.after_body(model).values():
        parameter.requires_grad_(True)


def copy(trained: Any, plain: Any) -> None:
    """Put the weights that come after the transformer of a trained model into another of the same layers."""
    import torch

    values = weights.after_body(trained)
    with torch.no_grad():
        for name, parameter in weights.after_body(plain).items():
            parameter.copy_(values[name])
