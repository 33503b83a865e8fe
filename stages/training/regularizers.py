"""What is added to a loss so that training keeps what its start knew: its weights, or its scores."""
from pathlib import Path


def wrap(loss, model, keep, start: Path):
    """`loss` with a fit's `keep` added, as a module for the trainer; `loss` itself where keep is None.

    It returns {"lesson", "regularizer"}, which the trainer adds up and logs apart. Where training starts is `model` as it is
    now, or the checkpoint's folder `start`: wrap before the trainer runs, so that a resumed run keeps to the same.
    """
    import torch
    if keep is None:
        return loss
    penalty = {"weights": weights_moved, "scores": scores_moved}[keep.kind](model, keep, start)

    class Kept(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.loss = loss

        def forward(self, features, labels):
            features = list(features)
            lesson = self.loss([dict(column) for column in features], labels)
            return {"lesson": lesson, "regularizer": keep.weight * penalty(features)}

    return Kept()


def weights_moved(model, keep, start: Path):
    """A function of a batch: the squared distance of the trained weights from where they are now, summed.

    L2-SP, Li et al. 2018. It is over the parameters that are trained, as they are: of an adapter its own (for LoRA A
    and B, each from its own start, and not their product).
    """
    began = [(weights, weights.detach().clone()) for weights in model.parameters() if weights.requires_grad]
    return lambda features: sum(((weights - was) ** 2).sum() for weights, was in began)


def scores_moved(model, keep, start: Path):
    """A function of a batch: KL(start || model), the mean over its anchors, of a softmax over its passages.

    The softmax is of scale x cosine between an anchor and every passage of the batch (Hinton et al. 2015; Li and
    Hoiem 2016). The start is the checkpoint in folder `start`, loaded a second time and frozen. Both are asked
    without dropout, so that it is 0 before the first step and the lesson's own random numbers stay what they are.
    It costs a forward through each, and all activations of a batch are held, also under a cached loss.
    """
    import torch

    from stages.models import encoding
    frozen = encoding.load_encoder(start).to(model.device).requires_grad_(False)

    def divergence(features):
        with torch.no_grad():
            expected = _log_shares(frozen, features, keep.scale)
        training = model.training
        model.eval()
        found = _log_shares(model, features, keep.scale)
        model.train(training)
        return torch.nn.functional.kl_div(found, expected, log_target=True, reduction="batchmean")

    return divergence


def _log_shares(model, features: list[dict], scale: float):
    """Log-softmax over all passages of a batch, (anchors, passages); the first column are the anchors."""
    import torch
    anchors, *passages = (torch.nn.functional.normalize(model(dict(column))["sentence_embedding"].float(), dim=1)
                          for column in features)
    return torch.log_softmax(scale * anchors @ torch.cat(passages).T, dim=1)
