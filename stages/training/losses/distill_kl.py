"""Listwise distillation: KL(teacher || student) over a query's positive and negatives, Lin et al. 2020.

Tamber et al. 2025 (arXiv 2502.19712, 2505.19274) fine-tune strong retrievers with it, from a cross-encoder's scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.models import settings
from stages.params.losses import DistillKlLoss
from stages.training.losses import teacher_scores

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

NO_DUPLICATES = True  # of the in-batch loss that is added: a text that appears twice would be its own negative


def build(model: SentenceTransformer, loss: DistillKlLoss) -> torch.nn.Module:
    """The library's loss modules on a retriever, of the model's own similarity: cosine, or the inner product.

    The library multiplies the divergence by temperature^2, which keeps gradients alike where both temperatures are one
    (Hinton et al. 2015). It is divided by that here: what is minimised is the divergence plus `contrastive` x the
    in-batch loss, a cross-entropy over the positives and negatives of the whole batch of similarity / temperature.
    """
    import torch
    from sentence_transformers.base.losses.merged_forward import embed_columns
    from sentence_transformers.sentence_transformer import losses as library
    from sentence_transformers.util import cos_sim, dot_score, pairwise_cos_sim, pairwise_dot_score

    unit = settings.is_unit(model)
    divergence = library.DistillKLDivLoss(
        model,
        similarity_fct=pairwise_cos_sim if unit else pairwise_dot_score,
        student_temperature=loss.temperature,
        teacher_temperature=loss.teacher_temperature,
    )
    in_batch = library.MultipleNegativesRankingLoss(
        model, scale=1 / loss.temperature, similarity_fct=cos_sim if unit else dot_score
    )

    class Distilled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.in_batch = model, in_batch

        def forward(self, features: Any, labels: torch.Tensor) -> torch.Tensor:
            vectors = embed_columns(self.model, features)
            value = divergence.compute_loss_from_embeddings(vectors, labels) / loss.temperature**2
            if loss.contrastive:
                value = value + loss.contrastive * self.in_batch.compute_loss_from_embeddings(vectors, labels)
            return value

    return Distilled()


def columns(triplets: pa.Table, loss: DistillKlLoss) -> pa.Table:
    """(anchor, positive, negative[, negative_2 ...], label), the label being the teacher's scores of these passages.

    Raises UserError for triplets without scores.
    """
    return teacher_scores.fed(triplets, "anchor", "distill-kl", lambda positive, negatives: [positive, *negatives])
