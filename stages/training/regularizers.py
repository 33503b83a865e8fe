"""What is added to a loss so that training keeps what the base checkpoint knows: its weights, scores or vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.models import encoding, settings
from stages.params.losses import Regularizer, ScoresRegularizer
from stages.training import losses

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

Features = list[dict[str, Any]]  # of a batch, one entry for each column of texts, the first of them the anchors
Penalty = Callable[[Features, bool], "torch.Tensor"]  # of a batch, and whether other processes have more rows of it


def added(
    loss: torch.nn.Module, model: SentenceTransformer, regularizer: Regularizer | None, checkpoint: Path
) -> torch.nn.Module:
    """`loss` with a recipe's regularizer added, as a module for the trainer; `loss` itself where there is none.

    It returns {"retrieval", "regularizer"}, which the trainer adds up and logs apart. Training is held to `model` as it
    is now, or to the base checkpoint's folder: call this before the trainer runs, so that a resumed run is held to the
    same.
    """
    import torch

    if regularizer is None:
        return loss
    weight = regularizer.weight
    if regularizer.kind == "weights":
        penalty = weights_moved(model)
    elif regularizer.kind == "scores":
        penalty = scores_moved(model, regularizer, checkpoint)
    else:
        penalty = outputs_moved(model, checkpoint)

    class Regularized(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss, self.gather_across_devices = loss, False

        def forward(self, features: Any, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
            features = list(features)
            retrieval = self.loss([dict(column) for column in features], labels)
            return {"retrieval": retrieval, "regularizer": weight * penalty(features, self.gather_across_devices)}

    return Regularized()


def weights_moved(model: SentenceTransformer) -> Penalty:
    """A function of a batch: the squared distance of the trained weights from where they are now, summed.

    L2-SP, Li et al. 2018. It is over the parameters that are trained, as they are: of an adapter its own (for LoRA A
    and B, each from its own initial value, and not their product).
    """
    initial = [(weights, weights.detach().clone()) for weights in model.parameters() if weights.requires_grad]

    def distance(features: Features, gathers: bool = False) -> torch.Tensor:
        return sum(((weights - was) ** 2).sum() for weights, was in initial)

    return distance


def scores_moved(model: SentenceTransformer, regularizer: ScoresRegularizer, checkpoint: Path) -> Penalty:
    """A function of a batch: KL(base || model), the mean over its anchors, of a softmax over its passages.

    The softmax is of scale x similarity, the model's own, between an anchor and every passage of the batch (Hinton et
    al. 2015; Li and Hoiem 2016); without a scale it is that of the in-batch loss. The base checkpoint is loaded a
    second time and frozen. Both models compute without dropout, so that the divergence is 0 before the first step and
    the random numbers of the loss stay what they are without it. It costs a forward through each, and all activations
    of a batch are held, also with mini_batch.
    """
    import torch

    both = _base_and_model(model, checkpoint)
    scale = regularizer.scale or (losses.COSINE_SCALE if settings.is_unit(model) else losses.DOT_SCALE)

    def divergence(features: Features, gathers: bool = False) -> torch.Tensor:
        expected, shares = (_log_shares(vectors, scale, gathers) for vectors in both(features))
        return torch.nn.functional.kl_div(shares, expected, log_target=True, reduction="batchmean")

    return divergence


def outputs_moved(model: SentenceTransformer, checkpoint: Path) -> Penalty:
    """A function of a batch: the mean over its texts, of all columns, of |vector - the base's vector|^2.

    Jung et al. 2016, Less-forgetting learning, hold features to those of the frozen network in this way. The vectors
    are those that are searched, of unit length where the similarity is cosine. It costs what `scores_moved` costs.
    """
    import torch

    both = _base_and_model(model, checkpoint)

    def distance(features: Features, gathers: bool = False) -> torch.Tensor:
        expected, vectors = (torch.cat(columns) for columns in both(features))
        return ((vectors - expected) ** 2).sum(dim=1).mean()

    return distance


def _base_and_model(
    model: SentenceTransformer, checkpoint: Path
) -> Callable[[Features], tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """A function of a batch: its vectors by the base checkpoint, loaded and frozen, and by the model, no dropout."""
    import torch

    base = encoding.load_encoder(checkpoint).to(model.device).requires_grad_(False)

    def both(features: Features) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        with torch.no_grad():
            expected = _vectors(base, features)
        training = model.training
        model.eval()
        vectors = _vectors(model, features)
        model.train(training)
        return expected, vectors

    return both


def _vectors(model: SentenceTransformer, features: Features) -> list[torch.Tensor]:
    """The vectors of each column of a batch (texts, dimensions), as they are searched."""
    import torch

    columns = [model(dict(column))["sentence_embedding"].float()[:, : model.truncate_dim] for column in features]
    return [torch.nn.functional.normalize(each, dim=1) for each in columns] if settings.is_unit(model) else columns


def _log_shares(columns: list[torch.Tensor], scale: float, gathers: bool) -> torch.Tensor:
    """Log-softmax over all passages of a batch, (anchors, passages), with `gathers` those of other processes too."""
    import torch
    from sentence_transformers.util import all_gather_with_grad

    anchors, *passages = columns
    read = torch.cat(passages)
    return torch.log_softmax(scale * anchors @ (all_gather_with_grad(read) if gathers else read).T, dim=1)
