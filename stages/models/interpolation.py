"""Weights between a base checkpoint and a model that was trained from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

Weights = Mapping[str, "Tensor"]


def weights(model: SentenceTransformer) -> Weights:
    """Copies of a model's weights, by name."""
    return {name: values.detach().clone() for name, values in model.named_parameters()}


def check(model: SentenceTransformer, base: Weights, folder: Path) -> None:
    """UserError where a trained model has not the weights of its base, by name and shape."""
    sizes = {name: values.shape for name, values in model.named_parameters()}
    if sizes != {name: values.shape for name, values in base.items()}:
        raise UserError(
            f"{folder}: its weights are not those of the base checkpoint; train it from that checkpoint, by a tuning "
            f"that is merged into it"
        )


def put_between(model: SentenceTransformer, base: Weights, trained: Weights, alpha: float) -> None:
    """Set every weight of a model to base + alpha x (trained - base).

    Exactly the base's at 0 and the trained ones at 1. WiSE-FT, Wortsman et al. 2022 (arXiv 2109.01903).
    """
    import torch

    with torch.no_grad():
        for name, values in model.named_parameters():
            if alpha in (0, 1):
                values.copy_(trained[name] if alpha else base[name])
            else:
                values.copy_(torch.lerp(base[name], trained[name], alpha))
