"""A reranker's losses against their formulas, and what they are fed."""
import math

import pyarrow as pa
import pytest

from stages.lib import cross_losses
from stages.lib.params import ListLoss, PairLoss

PAIRS, LISTS = PairLoss(kind="pairs"), ListLoss(kind="lists")
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

    return cross_losses.build(Given(), loss)(inputs, labels).item()


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


def test_each_loss_is_fed_its_columns():
    pairs = cross_losses.columns(TRIPLETS, PAIRS)
    assert pairs.to_pydict() == {"query": list("abaaba"), "passage": list("pqrnmp"), "label": [1.0] * 3 + [0.0] * 3}
    lists = cross_losses.columns(TRIPLETS, LISTS)
    assert lists.to_pydict() == {"query": ["a", "b"], "passages": [["p", "n", "r"], ["q", "m"]],
                                 "labels": [[1, 0, 1], [1, 0]]}
    assert (cross_losses.pairs(pairs), cross_losses.pairs(lists)) == (6, 5)
