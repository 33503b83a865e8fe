"""Retrievers trained from a teacher's scores: the losses against numpy on a real tiny model, and what they are fed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import log_softmax, softmax

from stages.core.errors import UserError
from stages.models import encoding, settings
from stages.params.losses import DistillKlLoss, MarginMseLoss
from stages.training import loop, losses, retriever
from tests.plants import seed_run

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small") for noun in ("boat", "house", "clock", "river")]
COLUMNS = [TEXTS[at : at + 6] for at in (0, 2, 4, 6)]  # anchors, positives, two negatives each
SCORES = np.random.default_rng(1).normal(size=(6, 3)) * 4
TABLE = pa.table(
    {
        "anchor": COLUMNS[0],
        "positive": COLUMNS[1],
        "negative": COLUMNS[2],
        "negative_2": COLUMNS[3],
        "positive_score": pa.array(SCORES[:, 0], pa.float32()),
        "negative_score": pa.array(SCORES[:, 1], pa.float32()),
        "negative_score_2": pa.array(SCORES[:, 2], pa.float32()),
    }
)


def kl(temperature=0.05, teacher_temperature=2.0, contrastive=0.0) -> DistillKlLoss:
    return DistillKlLoss(
        kind="distill-kl",
        temperature=temperature,
        teacher_temperature=teacher_temperature,
        contrastive=contrastive,
    )


@pytest.fixture(scope="module", params=["cosine", "dot"])
def model(request, tiny_model):
    """The tiny model, which normalises and is searched by cosine, or its raw vectors by inner product."""
    model = encoding.load_encoder(tiny_model)
    if request.param == "dot":
        model = settings.rebuilt(model, list(model)[:2])
        model.similarity_fn_name = "dot"
    return model.eval()


def value(model, loss) -> float:
    """The loss of the six triplets, by the module and the table that training uses."""
    import torch

    fed = losses.columns(TABLE, loss).to_pydict()
    features = [model.preprocess(texts) for name, texts in fed.items() if name != "label"]
    return losses.build(model, loss)(features, torch.tensor(fed["label"])).item()


def similarities(model) -> np.ndarray:
    """Of each anchor with its own positive and negatives, (6, 3), from the library's own encode."""
    anchors, *passages = (model.encode(texts) for texts in COLUMNS)
    return np.stack([model.similarity_pairwise(anchors, each).numpy() for each in passages], axis=1).astype(float)


def test_the_divergence_is_that_of_the_teachers_softmax_from_the_models(model):
    temperature = 0.05 if model.similarity_fn_name == "cosine" else 3.0
    shares = softmax(SCORES / 2, axis=1)
    expected = (shares * (np.log(shares) - log_softmax(similarities(model) / temperature, axis=1))).sum(axis=1).mean()
    assert value(model, kl(temperature)) == pytest.approx(expected, rel=1e-4)
    assert expected > 0.1


def test_the_in_batch_loss_is_added_with_its_weight(model):
    """Cross-entropy of each anchor's positive among the positives and negatives of all anchors."""
    temperature = 0.05 if model.similarity_fn_name == "cosine" else 3.0
    anchors, *passages = (model.encode(texts) for texts in COLUMNS)
    logits = model.similarity(anchors, np.concatenate(passages)).numpy().astype(float) / temperature
    in_batch = -np.diag(log_softmax(logits, axis=1)[:, :6]).mean()
    plain, added = value(model, kl(temperature)), value(model, kl(temperature, contrastive=0.1))
    assert added - plain == pytest.approx(0.1 * in_batch, rel=1e-3)


def test_margin_mse_of_several_negatives(model):
    found = similarities(model)
    leads, wanted = found[:, :1] - found[:, 1:], 0.1 * (SCORES[:, :1] - SCORES[:, 1:])
    computed = value(model, MarginMseLoss(kind="margin-mse", scale=0.1))
    assert computed == pytest.approx(((leads - wanted) ** 2).mean(), rel=1e-4)


def test_a_triplet_without_a_score_is_not_fed_and_a_table_without_scores_is_refused():
    scores = pa.array([None, *SCORES[1:, 2]], pa.float32())
    holed = TABLE.set_column(TABLE.column_names.index("negative_score_2"), "negative_score_2", scores)
    for loss, labels in ((kl(), 3), (MarginMseLoss(kind="margin-mse"), 2)):
        fed = losses.columns(holed, loss)
        assert fed.column_names[1:] == ["positive", "negative", "negative_2", "label"]
        assert len(fed) == 5 and set(map(len, fed["label"].to_pylist())) == {labels}
        with pytest.raises(UserError, match="and these have no negative_score_2; name a block of scored"):
            losses.columns(TABLE.drop_columns("negative_score_2"), loss)


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "distill-kl", "temperature": 0.05, "teacher_temperature": 1.0, "contrastive": 0.1},
        {"kind": "margin-mse", "scale": 0.1},
    ],
    ids=["distill-kl", "margin-mse"],
)
@pytest.mark.parametrize("regularizer", [None, {"kind": "outputs", "weight": 0.1}], ids=["alone", "outputs"])
def test_training_brings_the_model_to_its_teacher(loss, regularizer, tiny_model, tmp_path):
    """By the project's own loop: after some steps the teacher's order of a query's passages is the model's."""
    pq.write_table(TABLE, tmp_path / "seed-3.parquet")
    recipe = {"loss": loss, "epochs": 24, "batch": 6, "regularizer": regularizer}
    run = seed_run(tiny_model, {"kind": "full", "lr": 0.004}, recipe, tmp_path / "seed-3.parquet")
    loop.train(run, tmp_path / "work", retriever.prepare, retriever.deployed)
    before, after = (encoding.load_encoder(folder) for folder in (tiny_model, tmp_path / "work/model"))

    def agreement(model) -> float:
        return np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(similarities(model), SCORES, strict=True)])

    assert agreement(after) > agreement(before) + 0.3
