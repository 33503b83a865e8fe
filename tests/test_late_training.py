"""What late interaction learns by, which of its weights move, and that a merged copy scores as it was trained."""
import json
import math
import shutil

import numpy as np
import pyarrow as pa
import pytest

from stages.models import late_interaction, model_folder
from stages.models.model_folder import Description
from stages.training import tuning
from stages.training.reranker import late_interaction_training
from stages.core.errors import UserError
from stages.params.losses import InBatchLoss, TripletLoss
from stages.params.tuning import FrozenTuning, FullTuning, Ia3Tuning, LoraTuning
from stages.params.variants import Recipe

LORA = LoraTuning(kind="lora", lr=0.001, rank=4, alpha=8, modules=["query", "value"])
IA3 = Ia3Tuning(kind="ia3", lr=0.01, modules=["key", "value"])
QUERIES = ["what is known of the red boat", "old clock", "x"]
PASSAGES = ["The red boat is seen near the north market.", "An old clock.", "y"]
PROJECTION = 16 * 32


@pytest.fixture(scope="module")
def start(tiny_model, tmp_path_factory):
    """The tiny model as a checkpoint of shape late, with a projection to 16 numbers."""
    folder = tmp_path_factory.mktemp("late") / "model"
    shutil.copytree(tiny_model, folder)
    description = Description("late-interaction", tokens=32, query_tokens=8, dimension=16)
    late_interaction.build(folder, description)
    model_folder.write(description, folder)
    return folder


@pytest.mark.parametrize("tune, expected", [
    (LORA, 4 * 64 * 2 * 2 + PROJECTION), (IA3, 32 * 2 * 2 + PROJECTION)])
def test_an_adapter_is_trained_beside_the_projection(start, tune, expected):
    model = late_interaction.load(start)
    late_interaction_training.prepare(model, tune)
    assert tuning.count(model)[0] == expected
    moving = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert "1.linear.weight" in moving and all("lora" in name or "ia3" in name for name in moving - {"1.linear.weight"})


def test_full_is_all_and_frozen_leaves_the_upper_layers_and_the_projection(start):
    model = late_interaction.load(start)
    late_interaction_training.prepare(model, FullTuning(kind="full", lr=0.1))
    assert tuning.count(model)[0] == tuning.count(model)[1]
    late_interaction_training.prepare(model, FrozenTuning(kind="frozen", lr=0.1, layers=1))
    still = {name for name, weights in model.named_parameters() if not weights.requires_grad}
    assert "1.linear.weight" not in still and any("layer.0" in name for name in still)
    assert not any("layer.1." in name for name in still)


@pytest.mark.parametrize("cached", [None, 2])
def test_the_loss_is_cross_entropy_over_the_batchs_mean_maxsim(start, cached):
    model = late_interaction.load(start)
    loss = late_interaction_training.build(model, InBatchLoss(kind="in-batch", scale=20.0, hard=False, cached=cached))
    features = [model.preprocess(texts, task=task) for texts, task in ((QUERIES, "query"), (PASSAGES, "document"))]
    found = loss(features).item()
    tokens = [len(vectors) for vectors in model.encode_query(QUERIES)]
    scores = [[20.0 * late_interaction.score(model, [query], [passage], 64)[0] / count for passage in PASSAGES]
              for query, count in zip(QUERIES, tokens)]
    by_hand = [math.log(sum(math.exp(score) for score in row)) - row[at] for at, row in enumerate(scores)]
    assert found == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-4)


def test_hard_takes_all_negatives():
    texts = pa.table({name: ["t"] for name in ("anchor", "positive", "negative", "negative_2", "negative_id", "rank")})
    loss = InBatchLoss(kind="in-batch", scale=20.0, hard=True)
    assert late_interaction_training.columns(texts, loss).column_names == ["anchor", "positive", "negative", "negative_2"]
    soft = loss.model_copy(update={"hard": False})
    assert late_interaction_training.columns(texts, soft).column_names == ["anchor", "positive"]


def test_a_fit_it_cannot_learn_by_is_one_line():
    parts = {"batch": 4, "epochs": 1, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
    triplet = Recipe(loss=TripletLoss(kind="triplet", distance="cosine", margin=0.2), **parts)
    with pytest.raises(UserError, match="rerankers.late: the library has no triplet loss"):
        late_interaction_training.check(triplet, "rerankers.late")
    raw = Recipe(loss=InBatchLoss(kind="in-batch", scale=20.0, hard=False), normalize=False, **parts)
    with pytest.raises(UserError, match="rerankers.late: late interaction compares unit vectors"):
        late_interaction_training.check(raw, "rerankers.late")


@pytest.mark.parametrize("tuning", [LORA, IA3])
def test_a_merged_copy_with_its_projection_gives_the_same_scores(start, tmp_path, tune):
    import pyarrow.parquet as pq
    import torch
    model = late_interaction.load(start)
    untrained = late_interaction.score(model, QUERIES, PASSAGES, 4096)
    late_interaction_training.prepare(model, tune)
    torch.manual_seed(3)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.requires_grad:
                weights += 0.3 * torch.randn_like(weights)
    trained = late_interaction.score(model.eval(), QUERIES, PASSAGES, 4096)
    pq.write_table(pa.table({"anchor": ["a"]}), tmp_path / "lesson.parquet")
    fit = Recipe(loss=InBatchLoss(kind="in-batch", scale=20.0, hard=False), batch=1, epochs=1, warmup=0.1,
              weight_decay=0.0, clip=1.0)
    late_interaction_training.save(model, "late", 7, start, tmp_path / "lesson.parquet", tune, fit, tmp_path / "model")
    kept = late_interaction.score(late_interaction.load(tmp_path / "model"), QUERIES, PASSAGES, 4096)
    assert np.abs(kept - trained).max() < 1e-4 < np.abs(kept - untrained).max()
    assert "late, seed 7" in (tmp_path / "model/README.md").read_text()
