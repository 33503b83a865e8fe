"""Losses against their formulas, on vectors that can be followed by hand."""
import math

import pyarrow as pa
import pytest

from stages.training import losses
from stages.params.losses import ContrastiveLoss, InBatchLoss, TripletLoss

TRIPLETS = pa.table({"anchor": ["a", "b"], "positive": ["p", "q"], "negative": ["n", "m"]})


def value(loss, vectors, model, labels=None) -> float:
    """The loss of columns of vectors, through sentence-transformers' own module."""
    import torch

    class Passing(torch.nn.Module):
        def forward(self, features):
            return {"sentence_embedding": features["vectors"]}

    module = losses.build(model, loss)
    module.model = Passing()
    columns = [torch.tensor(column, dtype=torch.float32) for column in vectors]
    given = torch.tensor(labels) if labels else torch.zeros(len(columns[0]))
    return module([{"vectors": column} for column in columns], given).item()


@pytest.fixture(scope="module")
def model(tiny_model):
    from stages.models.encoding import load_encoder
    return load_encoder(tiny_model)


@pytest.mark.parametrize("distance, margin, expected", [
    ("cosine", 0.2, 0.2 + 1 - 0.2),          # d(a,p) = 1, d(a,n) = 0.2
    ("cosine", 0.0001, 0.8001),
    ("euclidean", 5.0, 5 + 5 - 1.0)])         # |a-p| = 5, |a-n| = 1
def test_triplet(distance, margin, expected, model):
    vectors = [[[1.0, 0.0]], [[0.0, 3.0]], [[0.8, 0.6]]] if distance == "cosine" else [[[0, 0]], [[3, 4]], [[0, 1]]]
    found = value(TripletLoss(kind="triplet", distance=distance, margin=margin), vectors, model)
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_bounds_that_refute_the_printed_loss(model):
    """Cosine distances are at most 2, so a margin of 0.2 cannot lose more than 2.2; the paper reports 2.26 and 3.10.

    On unit vectors a Euclidean margin of 5 cannot lose less than 3; the paper reports 0.79 and 1.42.
    """
    worst = value(TripletLoss(kind="triplet", distance="cosine", margin=0.2), [[[1, 0]], [[-1, 0]], [[1, 0]]], model)
    best = value(TripletLoss(kind="triplet", distance="euclidean", margin=5.0), [[[1, 0]], [[1, 0]], [[-1, 0]]], model)
    assert worst == pytest.approx(2.2, abs=1e-5) and best == pytest.approx(3.0, abs=1e-5)


def test_inbatch_and_contrastive(model):
    found = value(InBatchLoss(kind="in-batch", scale=2.0, hard=False), [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], model)
    assert found == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-5)
    pairs = [[[1.0, 0], [1, 0]], [[0, 1.0], [1, 0]]]
    found = value(ContrastiveLoss(kind="contrastive", distance="cosine", margin=0.5), pairs, model, labels=[1, 0])
    assert found == pytest.approx(0.5 * (1 ** 2 + 0.5 ** 2) / 2, abs=1e-5)


def test_each_loss_is_fed_its_columns():
    triplet = TripletLoss(kind="triplet", distance="cosine", margin=0.2)
    assert losses.columns(TRIPLETS, triplet).column_names == ["anchor", "positive", "negative"]
    assert losses.columns(TRIPLETS, InBatchLoss(kind="in-batch", scale=1.0, hard=False)).column_names == \
        ["anchor", "positive"]
    pairs = losses.columns(TRIPLETS, ContrastiveLoss(kind="contrastive", distance="cosine", margin=0.5))
    assert pairs.to_pydict() == {"anchor": ["a", "b", "a", "b"], "passage": ["p", "q", "n", "m"],
                                 "label": [1, 1, 0, 0]}


def test_hard_negatives_are_fed_in_their_order():
    ids = pa.table({"negative_id": ["1", "2"], "rank": [1, 1], "negative_score": [0.5, 0.5]})
    drawn = ids
    for name in TRIPLETS.column_names:
        drawn = drawn.append_column(name, TRIPLETS[name])
    drawn = drawn.append_column("negative_2", TRIPLETS["anchor"]).append_column("negative_10", TRIPLETS["anchor"])
    hard = InBatchLoss(kind="in-batch", scale=1.0, hard=True)
    assert losses.columns(drawn, hard).column_names == ["anchor", "positive", "negative", "negative_2", "negative_10"]
    assert losses.columns(drawn, hard.model_copy(update={"hard": False})).column_names == ["anchor", "positive"]
    assert losses.columns(drawn, TripletLoss(kind="triplet", distance="cosine", margin=0.2)).column_names == \
        ["anchor", "positive", "negative"]


WORDS = ["boat", "red house", "an old clock", "river", "the king", "wooden wall of a garden", "horse"]


def gradient(model, cached, texts):
    """All gradients of the in-batch loss on columns of texts, as one vector, and the loss.

    With `cached` no more texts than that went through the model at once.
    """
    import torch
    sizes = []
    counting = model[0].register_forward_pre_hook(lambda module, given: sizes.append(len(given[0]["input_ids"])))
    model.zero_grad()
    module = losses.build(model, InBatchLoss(kind="in-batch", scale=20.0, hard=True, cached=cached))
    loss = module([model.preprocess(column) for column in texts], None)
    loss.backward()
    counting.remove()
    assert cached is None or max(sizes) == min(cached, len(texts[0]))
    gradients = [weights.grad.flatten() for weights in model.parameters() if weights.grad is not None]
    return torch.cat(gradients), loss.item()


@pytest.mark.parametrize("cached", [1, 3, 64])
def test_a_cached_batch_has_the_gradient_of_the_whole(cached, model):
    """Without dropout, with two negatives a pair, in parts that do not divide the batch."""
    texts = [WORDS[at:] + WORDS[:at] for at in range(4)]
    whole, expected = gradient(model, None, texts)
    parts, found = gradient(model, cached, texts)
    assert found == pytest.approx(expected, rel=1e-6)
    assert float((parts - whole).norm() / whole.norm()) < 1e-5


@pytest.mark.parametrize("cached", [None, 3])
@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_each_anchor_is_compared_with_the_whole_batch(negatives, cached, model):
    """Where all vectors are equal the loss is ln(candidates): a batch four times as large costs ln 4 more.

    A sum over small batches, which only pretends to be a large one, would cost the same.
    """
    small, large = (gradient(model, cached, [["a boat"] * batch] * (2 + negatives))[1] for batch in (5, 20))
    assert small == pytest.approx(math.log(5 * (1 + negatives)), abs=1e-5)
    assert large - small == pytest.approx(math.log(4), abs=1e-5)
