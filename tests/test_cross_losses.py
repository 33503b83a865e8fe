"""A reranker's losses against their formulas, and what they are fed."""
import math

import pyarrow as pa
import pytest

from stages.training.reranker import cross_encoder_losses
from stages.core.errors import UserError
from stages.params.losses import ListwiseLoss, MarginMseLoss, PointwiseLoss

PAIRS, LISTS, MARGINS = PointwiseLoss(kind="pairs"), ListwiseLoss(kind="lists"), MarginMseLoss(kind="margins", scale=0.5)
TRIPLETS = pa.table({"anchor": ["a", "b", "a"], "positive": ["p", "q", "r"], "negative": ["n", "m", "p"]})


def value(loss, inputs, labels, logits) -> float:
    """The library's loss of given logits, one a pair in the order of its passages."""
    import torch
    from sentence_transformers import CrossEncoder

    class Given(CrossEncoder):
        num_labels, device = 1, torch.device("cpu")

        def __init__(self):
            torch.nn.Module.__init__(self)
            self.left = list(logits)

        def preprocess(self, pairs, **kwargs):
            taken, self.left = self.left[:len(pairs)], self.left[len(pairs):]
            return {"logits": torch.tensor(taken)}

        def forward(self, features):
            return {"scores": features["logits"][:, None]}

    return cross_encoder_losses.build(Given(), loss)(inputs, labels).item()


def test_pairs():
    import torch
    found = value(PAIRS, [["a", "a"], ["p", "n"]], torch.tensor([1.0, 0.0]), [2.0, -1.0])
    assert found == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2, abs=1e-6)


def test_lists():
    import torch
    labels = [torch.tensor([1.0, 0, 0]), torch.tensor([1.0, 0])]
    found = value(LISTS, [["a", "b"], [["p", "n", "m"], ["q", "o"]]], labels, [1.0, 2.0, 0.0, 0.5, 0.0])

    def top_one(logits, labels):
        logged = [logit - math.log(sum(map(math.exp, logits))) for logit in logits]
        shares = [math.exp(label) / sum(map(math.exp, labels)) for label in labels]
        return -sum(share * log for share, log in zip(shares, logged))

    assert found == pytest.approx((top_one([1, 2, 0], [1, 0, 0]) + top_one([0.5, 0], [1, 0])) / 2, abs=1e-6)


def test_margins():
    import torch
    found = value(MARGINS, [["a", "b"], ["p", "q"], ["n", "m"]], torch.tensor([1.0, -0.5]), [2.0, 0.5, 0.25, 1.0])
    assert found == pytest.approx((((2 - 0.25) - 1) ** 2 + ((0.5 - 1) + 0.5) ** 2) / 2, abs=1e-6)


def test_margins_are_fed_the_pools_lead_and_no_triplet_without_one():
    scored = TRIPLETS.append_column("positive_score", pa.array([9.0, None, 7.0], pa.float32())).append_column(
        "negative_score", pa.array([4.0, 1.0, 8.0], pa.float32()))
    fed = cross_encoder_losses.columns(scored, MARGINS)
    assert fed.to_pydict() == {"query": ["a", "a"], "positive": ["p", "r"], "negative": ["n", "p"],
                               "label": [2.5, -0.5]}
    assert cross_encoder_losses.pairs(fed) == 4
    with pytest.raises(UserError, match="have no negative_score"):
        cross_encoder_losses.columns(TRIPLETS, MARGINS)


def test_each_loss_is_fed_its_columns():
    pairs = cross_encoder_losses.columns(TRIPLETS, PAIRS)
    assert pairs.to_pydict() == {"query": list("abaaba"), "passage": list("pqrnmp"), "label": [1.0] * 3 + [0.0] * 3}
    lists = cross_encoder_losses.columns(TRIPLETS, LISTS)
    assert lists.to_pydict() == {"query": ["a", "b"], "passages": [["p", "n", "r"], ["q", "m"]],
                                 "labels": [[1, 0, 1], [1, 0]]}
    assert (cross_encoder_losses.pairs(pairs), cross_encoder_losses.pairs(lists)) == (6, 5)
