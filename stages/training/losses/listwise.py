"""The listwise loss of cross-encoders: cross-entropy between the softmax of a query's logits and that of its labels.

It is ListNet's top-one form, Cao et al. 2007.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from stages.params.losses import ListwiseLoss

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder


def build(model: CrossEncoder, loss: ListwiseLoss) -> torch.nn.Module:
    """The library's loss module on a cross-encoder of one label."""
    from sentence_transformers.cross_encoder import losses as library

    return library.ListNetLoss(model)


def columns(triplets: pa.Table, loss: ListwiseLoss) -> pa.Table:
    """(query, passages, labels), one row for each query, in the order of its first triplet.

    Each passage appears once in a row; one that is a positive of the query is never its negative.
    """
    labels: dict[str, dict[str, float]] = {}
    for triplet in triplets.select(["anchor", "positive", "negative"]).to_pylist():
        of_query = labels.setdefault(triplet["anchor"], {})
        of_query[triplet["positive"]] = 1.0
        of_query.setdefault(triplet["negative"], 0.0)
    return pa.table(
        {
            "query": list(labels),
            "passages": [list(of_query) for of_query in labels.values()],
            "labels": [list(of_query.values()) for of_query in labels.values()],
        }
    )
