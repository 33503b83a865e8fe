"""Retrievers' losses against their formulas, on vectors that can be followed by hand, and the columns they are fed."""

import importlib
import math
from typing import get_args

import pyarrow as pa
import pytest

from stages.params.losses import ContrastiveLoss, InBatchLoss, Loss, TripletLoss
from stages.training import losses

TRIPLETS = pa.table({"anchor": ["a", "b"], "positive": ["p", "q"], "negative": ["n", "m"]})
CONTRASTIVE = ContrastiveLoss(kind="contrastive", distance="cosine", margin=0.5)


def triplet(distance: str | None, margin: float) -> TripletLoss:
    return TripletLoss(kind="triplet", distance=distance, margin=margin)


def in_batch(**changed) -> InBatchLoss:
    return InBatchLoss(**{"kind": "in-batch", "scale": 20.0, "hard_negatives": False, **changed})


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


def test_each_kind_that_params_know_has_a_module():
    union, _ = get_args(Loss)
    for block in get_args(union):
        (kind,) = get_args(block.model_fields["kind"].annotation)
        module = importlib.import_module(losses.module(kind))
        assert callable(module.build) and callable(module.columns)


@pytest.mark.parametrize(
    "distance, margin, expected",
    [
        ("cosine", 0.2, 0.2 + 1 - 0.2),  # d(a,p) = 1, d(a,n) = 0.2
        ("cosine", 0.0001, 0.8001),
        ("euclidean", 5.0, 5 + 5 - 1.0),  # |a-p| = 5, |a-n| = 1
    ],
)
def test_triplet(distance, margin, expected, model):
    vectors = [[[1.0, 0.0]], [[0.0, 3.0]], [[0.8, 0.6]]] if distance == "cosine" else [[[0, 0]], [[3, 4]], [[0, 1]]]
    assert value(triplet(distance, margin), vectors, model) == pytest.approx(expected, abs=1e-5)


def test_the_bounds_that_refute_the_printed_loss(model):
    """Cosine distances are at most 2, so a margin of 0.2 cannot lose more than 2.2; the paper reports 2.26 and 3.10.

    On unit vectors a Euclidean margin of 5 cannot lose less than 3; the paper reports 0.79 and 1.42.
    """
    worst = value(triplet("cosine", 0.2), [[[1, 0]], [[-1, 0]], [[1, 0]]], model)
    best = value(triplet("euclidean", 5.0), [[[1, 0]], [[1, 0]], [[-1, 0]]], model)
    assert worst == pytest.approx(2.2, abs=1e-5) and best == pytest.approx(3.0, abs=1e-5)


def test_in_batch(model):
    computed = value(in_batch(scale=2.0), [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], model)
    assert computed == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-5)


def test_contrastive(model):
    """A positive at distance 1 and a negative at distance 0, margin 0.5."""
    computed = value(CONTRASTIVE, [[[1.0, 0], [1, 0]], [[0, 1.0], [1, 0]]], model, labels=[1, 0])
    assert computed == pytest.approx(0.5 * (1**2 + 0.5**2) / 2, abs=1e-5)


@pytest.fixture(scope="module")
def dot_model(tiny_model):
    """The tiny model without normalisation, searched by inner product."""
    from stages.models import encoding, settings

    model = encoding.load_encoder(tiny_model)
    model = settings.rebuilt(model, list(model)[:2])
    model.similarity_fn_name = "dot"
    return model


PAIRS = [[[1.0, 2], [0, 3]], [[2.0, 0], [1, 1]]]  # inner products: of their own 2 and 3, of each other's 3 and 0


@pytest.mark.parametrize("mini_batch", [None, 1])
@pytest.mark.parametrize("scale, factor", [(None, 1), (0.5, 0.5)])
def test_in_batch_of_dot_products(scale, factor, mini_batch, dot_model):
    """Cross-entropy of raw inner products, times 1 where no scale is named."""
    expected = (math.log(1 + math.exp(factor * (3 - 2))) + math.log(1 + math.exp(factor * (0 - 3)))) / 2
    if mini_batch is None:
        computed = value(in_batch(scale=scale), PAIRS, dot_model)
    else:
        computed = cached(in_batch(scale=scale, mini_batch=mini_batch), PAIRS, dot_model)
    assert computed == pytest.approx(expected, abs=1e-5)


def cached(loss, vectors, model) -> float:
    """The loss of columns of vectors by the part of the library's module that is given vectors."""
    import torch

    columns = [[torch.tensor(row).reshape(1, -1) for row in column] for column in vectors]
    return losses.build(model, loss).calculate_loss(columns).item()


def test_a_scale_that_is_not_named_is_20_of_cosines(model):
    angles = [
        [[1.0, 0], [0, 1.0]],
        [[0.6, 0.8], [0, 2.0]],
    ]  # cosines: of their own 0.6 and 1, of each other's 0 and 0.8
    expected = (math.log(1 + math.exp(20 * (0 - 0.6))) + math.log(1 + math.exp(20 * (0.8 - 1)))) / 2
    assert value(in_batch(scale=None), angles, model) == pytest.approx(expected, abs=1e-5)
    assert cached(in_batch(scale=None, mini_batch=1), angles, model) == pytest.approx(expected, abs=1e-5)


def test_a_distance_that_is_not_named_is_that_of_the_model(model, dot_model):
    """Of dot products: a.n - a.p + margin; of cosines: cos(a,n) - cos(a,p) + margin."""
    vectors = [[[1.0, 2]], [[2.0, 0]], [[1, 1]]]  # a.p = 2, a.n = 3
    assert value(triplet(None, 0.5), vectors, dot_model) == pytest.approx(3 - 2 + 0.5)
    assert value(triplet("dot", 0.5), vectors, model) == pytest.approx(3 - 2 + 0.5)
    cosines = 3 / math.sqrt(10) - 1 / math.sqrt(5)
    assert value(triplet(None, 0.5), vectors, model) == pytest.approx(cosines + 0.5, abs=1e-5)


def test_contrastive_of_dot_products(dot_model, model):
    """d = 1 - a.b: of the positive 1 - 2, of the negative 1 - 0.5, margin 0.75."""
    pairs = [[[1.0, 0], [1, 0]], [[2.0, 0], [0.5, 0.1]]]
    expected = 0.5 * ((1 - 2) ** 2 + (0.75 - 0.5) ** 2) / 2
    dot = ContrastiveLoss(kind="contrastive", distance="dot", margin=0.75)
    assert value(dot, pairs, dot_model, labels=[1, 0]) == pytest.approx(expected, abs=1e-5)
    own = ContrastiveLoss(kind="contrastive", margin=0.5)
    same = [value(loss, pairs, model, labels=[1, 0]) for loss in (own, CONTRASTIVE)]
    assert same[0] == same[1] > 0


def test_each_loss_is_fed_its_columns():
    assert losses.columns(TRIPLETS, triplet("cosine", 0.2)).column_names == ["anchor", "positive", "negative"]
    assert losses.columns(TRIPLETS, in_batch()).column_names == ["anchor", "positive"]
    assert losses.columns(TRIPLETS, CONTRASTIVE).to_pydict() == {
        "anchor": ["a", "b", "a", "b"],
        "passage": ["p", "q", "n", "m"],
        "label": [1, 1, 0, 0],
    }


def test_only_in_batch_forbids_a_text_to_stand_twice_in_a_batch():
    blocks = (triplet("cosine", 0.2), in_batch(), CONTRASTIVE)
    assert [losses.no_duplicates(block) for block in blocks] == [False, True, False]


def test_hard_negatives_are_fed_in_their_order():
    names = ("negative_id", "rank", "negative_score", *TRIPLETS.column_names, "negative_2", "negative_10")
    drawn = pa.table({name: ["a", "b"] for name in names})
    assert losses.columns(drawn, in_batch(hard_negatives=True)).column_names == [
        "anchor",
        "positive",
        "negative",
        "negative_2",
        "negative_10",
    ]
    assert losses.columns(drawn, in_batch()).column_names == ["anchor", "positive"]
    assert losses.columns(drawn, triplet("cosine", 0.2)).column_names == ["anchor", "positive", "negative"]


WORDS = ["boat", "red house", "an old clock", "river", "the king", "wooden wall of a garden", "horse"]


def gradient(model, mini_batch, texts):
    """All gradients of the in-batch loss on columns of texts, as one vector, and the loss.

    With `mini_batch` no more texts than that go through the model at once.
    """
    import torch

    sizes = []
    counting = model[0].register_forward_pre_hook(lambda module, given: sizes.append(len(given[0]["input_ids"])))
    model.zero_grad()
    module = losses.build(model, in_batch(hard_negatives=True, mini_batch=mini_batch))
    loss = module([model.preprocess(column) for column in texts], None)
    loss.backward()
    counting.remove()
    assert mini_batch is None or max(sizes) == min(mini_batch, len(texts[0]))
    gradients = [weights.grad.flatten() for weights in model.parameters() if weights.grad is not None]
    return torch.cat(gradients), loss.item()


@pytest.mark.parametrize("mini_batch", [1, 3, 64])
def test_mini_batches_have_the_gradient_of_the_whole(mini_batch, model):
    """Without dropout, with two negatives a pair, in parts that do not divide the batch."""
    texts = [WORDS[at:] + WORDS[:at] for at in range(4)]
    whole, expected = gradient(model, None, texts)
    parts, computed = gradient(model, mini_batch, texts)
    assert computed == pytest.approx(expected, rel=1e-6)
    assert float((parts - whole).norm() / whole.norm()) < 1e-5


@pytest.mark.parametrize("mini_batch", [None, 3])
@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_each_anchor_is_compared_with_the_whole_batch(negatives, mini_batch, model):
    """Where all vectors are equal the loss is ln(candidates): a batch four times as large costs ln 4 more.

    A sum over small batches, which only pretends to be a large one, would cost the same.
    """
    small, large = (gradient(model, mini_batch, [["a boat"] * batch] * (2 + negatives))[1] for batch in (5, 20))
    assert small == pytest.approx(math.log(5 * (1 + negatives)), abs=1e-5)
    assert large - small == pytest.approx(math.log(4), abs=1e-5)
