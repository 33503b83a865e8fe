"""MarginMSE for retrievers and cross-encoders, Hofstaetter et al. 2020.

The squared error of the positive's score less each negative's, against the same difference of a teacher's scores, or of
the pool's where there is no teacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from stages.models import settings
from stages.params.losses import MarginMseLoss
from stages.training.losses import teacher_scores

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer


def build(model: SentenceTransformer | CrossEncoder, loss: MarginMseLoss) -> torch.nn.Module:
    """The library's loss module: on a retriever, of its own similarity, or on a cross-encoder of one label."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import losses as of_cross_encoders
    from sentence_transformers.sentence_transformer import losses as of_retrievers
    from sentence_transformers.util import pairwise_cos_sim, pairwise_dot_score

    if isinstance(model, CrossEncoder):
        return of_cross_encoders.MarginMSELoss(model)
    unit = settings.is_unit(model)
    return of_retrievers.MarginMSELoss(model, similarity_fct=pairwise_cos_sim if unit else pairwise_dot_score)


def columns(triplets: pa.Table, loss: MarginMseLoss) -> pa.Table:
    """(query, positive, negative[, negative_2 ...], label), the label being `scale` x (positive - negative score).

    Of several negatives it is a list, in their order. A triplet with a passage that has no score is left out. Raises
    UserError for triplets without scores.
    """
    return teacher_scores.fed(
        triplets,
        "query",
        "margin-mse",
        lambda positive, negatives: [loss.scale * (positive - negative) for negative in negatives],
    )
