"""The pointwise loss of cross-encoders: binary cross-entropy of sigmoid(logit) against relevant (1) or not (0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from stages.params.losses import PointwiseLoss
from stages.training.losses import labelled_pairs

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder


def build(model: CrossEncoder, loss: PointwiseLoss) -> torch.nn.Module:
    """The library's loss module on a cross-encoder of one label."""
    from sentence_transformers.cross_encoder import losses as library

    return library.BinaryCrossEntropyLoss(model)


def columns(triplets: pa.Table, loss: PointwiseLoss) -> pa.Table:
    """(query, passage, label): a relevant pair has label 1, one with a negative label 0."""
    return labelled_pairs.of_triplets(triplets, "query", pa.float64())
