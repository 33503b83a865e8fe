"""The triplet loss: max(0, d(anchor, positive) - d(anchor, negative) + margin), Schroff et al. 2015."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.params.losses import TripletLoss

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


def build(model: SentenceTransformer, loss: TripletLoss) -> torch.nn.Module:
    """The library's loss module on a retriever, with d the cosine or the Euclidean distance, or minus the dot product.

    A loss that names none has that of the model's similarity.
    """
    from sentence_transformers.sentence_transformer import losses as library
    from sentence_transformers.util import pairwise_dot_score

    metrics: dict[str, Any] = {
        "cosine": library.TripletDistanceMetric.COSINE,
        "euclidean": library.TripletDistanceMetric.EUCLIDEAN,
        "dot": lambda one, other: -pairwise_dot_score(one, other),
    }
    distance = loss.distance or str(model.similarity_fn_name)
    return library.TripletLoss(model, distance_metric=metrics[distance], triplet_margin=loss.margin)


def columns(triplets: pa.Table, loss: TripletLoss) -> pa.Table:
    """(anchor, positive, negative)."""
    return triplets.select(["anchor", "positive", "negative"])
