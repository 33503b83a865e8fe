"""A cross-encoder's losses against their formulas, and what they are fed."""

import math

import pyarrow as pa
import pytest

from stages.core.errors import UserError
from stages.params.losses import ListwiseLoss, MarginMseLoss, PointwiseLoss
from stages.training import losses
from stages.training.reranker import cross_encoder

POINTWISE, LISTWISE = PointwiseLoss(kind="pointwise"), ListwiseLoss(kind="listwise")
MARGIN_MSE = MarginMseLoss(kind="margin-mse", scale=0.5)
TRIPLETS = pa.table({"anchor": ["a", "b", "a"], "positive": ["p", "q", "r"], "negative": ["n", "m", "p"]})


def value(loss, inputs, labels, logits) -> float:
    """The library's loss of given logits, one for each pair in the order of its passages."""
    import torch
    from sentence_transformers import CrossEncoder

    class Given(CrossEncoder):
        num_labels, device = 1, torch.device("cpu")

        def __init__(self):
            torch.nn.Module.__init__(self)
            self.left = list(logits)

        def preprocess(self, pairs, **kwargs):
            taken, self.left = self.left[: len(pairs)], self.left[len(pairs) :]
            return {"logits": torch.tensor(taken)}

        def forward(self, features):
            return {"scores": features["logits"][:, None]}

    return losses.build(Given(), loss)(inputs, labels).item()


def test_pointwise():
    import torch

    computed = value(POINTWISE, [["a", "a"], ["p", "n"]], torch.tensor([1.0, 0.0]), [2.0, -1.0])
    assert computed == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2, abs=1e-6)


def test_listwise():
    import torch

    labels = [torch.tensor([1.0, 0, 0]), torch.tensor([1.0, 0])]
    computed = value(LISTWISE, [["a", "b"], [["p", "n", "m"], ["q", "o"]]], labels, [1.0, 2.0, 0.0, 0.5, 0.0])

    def top_one(logits, labels):
        logged = [logit - math.log(sum(map(math.exp, logits))) for logit in logits]
        shares = [math.exp(label) / sum(map(math.exp, labels)) for label in labels]
        return -sum(share * log for share, log in zip(shares, logged, strict=True))

    assert computed == pytest.approx((top_one([1, 2, 0], [1, 0, 0]) + top_one([0.5, 0], [1, 0])) / 2, abs=1e-6)


def test_margin_mse():
    import torch

    labels = torch.tensor([1.0, -0.5])
    computed = value(MARGIN_MSE, [["a", "b"], ["p", "q"], ["n", "m"]], labels, [2.0, 0.5, 0.25, 1.0])
    assert computed == pytest.approx((((2 - 0.25) - 1) ** 2 + ((0.5 - 1) + 0.5) ** 2) / 2, abs=1e-6)


def test_margin_mse_is_fed_the_differences_of_the_pools_scores_and_no_triplet_without_one():
    scored = TRIPLETS.append_column("positive_score", pa.array([9.0, None, 7.0], pa.float32())).append_column(
        "negative_score", pa.array([4.0, 1.0, 8.0], pa.float32())
    )
    fed = losses.columns(scored, MARGIN_MSE)
    assert fed.to_pydict() == {
        "query": ["a", "a"],
        "positive": ["p", "r"],
        "negative": ["n", "p"],
        "label": [2.5, -0.5],
    }
    assert cross_encoder.pairs(fed) == 4
    with pytest.raises(UserError, match="have no negative_score"):
        losses.columns(TRIPLETS, MARGIN_MSE)


def test_each_loss_is_fed_its_columns():
    pointwise = losses.columns(TRIPLETS, POINTWISE)
    assert pointwise.to_pydict() == {
        "query": list("abaaba"),
        "passage": list("pqrnmp"),
        "label": [1.0] * 3 + [0.0] * 3,
    }
    listwise = losses.columns(TRIPLETS, LISTWISE)
    assert listwise.to_pydict() == {
        "query": ["a", "b"],
        "passages": [["p", "n", "r"], ["q", "m"]],
        "labels": [[1, 0, 1], [1, 0]],
    }
    assert (cross_encoder.pairs(pointwise), cross_encoder.pairs(listwise)) == (6, 5)
