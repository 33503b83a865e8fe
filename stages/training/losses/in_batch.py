"""The in-batch loss: cross-entropy over the batch's passages, of scale x similarity, van den Oord et al. 2018."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.models import settings
from stages.params.losses import InBatchLoss
from stages.training.losses import COSINE_SCALE, DOT_SCALE

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

NO_DUPLICATES = True  # a text that appears twice would be its own negative


def build(model: SentenceTransformer, loss: InBatchLoss) -> torch.nn.Module:
    """The library's loss module on a retriever, of the model's own similarity: cosine, or the inner product.

    With `mini_batch` loss and gradient are the same, computed as in Gao et al. 2021: the activations of so many texts
    are held at once, and each text is computed twice.
    """
    from sentence_transformers.sentence_transformer import losses as library
    from sentence_transformers.util import cos_sim, dot_score

    unit = settings.is_unit(model)
    scale = loss.scale or (COSINE_SCALE if unit else DOT_SCALE)
    keywords: dict[str, Any] = {"scale": scale, "similarity_fct": cos_sim if unit else dot_score}
    if loss.mini_batch:
        return library.CachedMultipleNegativesRankingLoss(model, mini_batch_size=loss.mini_batch, **keywords)
    return library.MultipleNegativesRankingLoss(model, **keywords)


def columns(triplets: pa.Table, loss: InBatchLoss) -> pa.Table:
    """(anchor, positive), and with `hard_negatives` all negatives of the triplets: negative, negative_2 and so on."""
    negatives = [name for name in triplets.column_names if re.fullmatch(r"negative(_\d+)?", name)]
    return triplets.select(["anchor", "positive", *(negatives if loss.hard_negatives else [])])
