"""The contrastive loss on pairs, Hadsell et al. 2006: d^2 / 2 of a positive, max(0, margin - d)^2 / 2 of a negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.params.losses import ContrastiveLoss
from stages.training.losses import labelled_pairs

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


def build(model: SentenceTransformer, loss: ContrastiveLoss) -> torch.nn.Module:
    """The library's loss module on a retriever, with d the cosine or the Euclidean distance, or 1 - dot product.

    A loss that names none has that of the model's similarity.
    """
    from sentence_transformers.sentence_transformer import losses as library
    from sentence_transformers.util import pairwise_dot_score

    metrics: dict[str, Any] = {
        "cosine": library.SiameseDistanceMetric.COSINE_DISTANCE,
        "euclidean": library.SiameseDistanceMetric.EUCLIDEAN,
        "dot": lambda one, other: 1 - pairwise_dot_score(one, other),
    }
    distance = loss.distance or str(model.similarity_fn_name)
    return library.ContrastiveLoss(model, distance_metric=metrics[distance], margin=loss.margin)


def columns(triplets: pa.Table, loss: ContrastiveLoss) -> pa.Table:
    """(anchor, passage, label): a relevant pair has label 1, one with a negative label 0."""
    return labelled_pairs.of_triplets(triplets, "anchor", pa.int64())
