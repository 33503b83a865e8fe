"""MarginMSE for cross-encoders, Hofstaetter et al. 2020.

The squared error of the positive's logit less the negative's, against the same difference of the pool's scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError
from stages.params.losses import MarginMseLoss

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder

SCORES = ("positive_score", "negative_score")


def build(model: CrossEncoder, loss: MarginMseLoss) -> torch.nn.Module:
    """The library's loss module on a cross-encoder of one label."""
    from sentence_transformers.cross_encoder import losses as library

    return library.MarginMSELoss(model)


def columns(triplets: pa.Table, loss: MarginMseLoss) -> pa.Table:
    """(query, positive, negative, label), the label being `scale` x (positive_score - negative_score).

    A triplet whose positive the pool did not score is left out. Raises UserError for triplets without a pool's scores.
    """
    if missing := set(SCORES) - set(triplets.column_names):
        raise UserError(
            f"the loss margin-mse needs triplets with a pool's scores, and these have no {min(missing)}; draw their "
            f"negatives from pools/<name>"
        )
    margin = pc.subtract(*(triplets[name].cast(pa.float64()) for name in SCORES))
    scored = pc.fill_null(pc.is_finite(margin), False)
    texts = {"query": triplets["anchor"], "positive": triplets["positive"], "negative": triplets["negative"]}
    return pa.table({**texts, "label": pc.multiply(margin, loss.scale)}).filter(scored)
