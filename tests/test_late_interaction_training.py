"""The loss of late interaction, which of its weights move, and that a merged model scores as it was trained."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.models import late_interaction, model_folder
from stages.models.model_folder import Description
from stages.params.losses import InBatchLoss
from stages.params.tuning import FrozenTuning, FullTuning, Ia3Tuning, LoraTuning
from stages.training import weights
from stages.training.reranker import late_interaction as training
from tests.plants import seed_run

LORA = LoraTuning(kind="lora", lr=0.001, rank=4, lora_alpha=8, modules=["query", "value"])
IA3 = Ia3Tuning(kind="ia3", lr=0.01, modules=["key", "value"])
QUERIES = ["what is known of the red boat", "old clock", "x"]
PASSAGES = ["The red boat is seen near the north market.", "An old clock.", "y"]
PROJECTION = 16 * 32


@pytest.fixture(scope="module")
def base(tiny_model, tmp_path_factory):
    """The tiny model as a checkpoint of late interaction, with a projection to 16 numbers."""
    folder = tmp_path_factory.mktemp("late") / "model"
    shutil.copytree(tiny_model, folder)
    description = Description("late-interaction", tokens=32, query_tokens=8, dimension=16)
    late_interaction.build(folder, description)
    model_folder.write(description, folder)
    return folder


def trainable(model) -> set[str]:
    return {name for name, weights in model.named_parameters() if weights.requires_grad}


@pytest.mark.parametrize("block, expected", [(LORA, 4 * 64 * 2 * 2 + PROJECTION), (IA3, 32 * 2 * 2 + PROJECTION)])
def test_an_adapter_is_trained_with_the_projection(base, block, expected):
    model = late_interaction.load(base)
    training.make_trainable(model, block)
    assert weights.count(model)[0] == expected
    moving = trainable(model)
    assert "1.linear.weight" in moving and all("lora" in name or "ia3" in name for name in moving - {"1.linear.weight"})


def test_full_is_all_and_frozen_leaves_the_upper_layers_and_the_projection(base):
    model = late_interaction.load(base)
    training.make_trainable(model, FullTuning(kind="full", lr=0.1))
    assert weights.count(model)[0] == weights.count(model)[1]
    training.make_trainable(model, FrozenTuning(kind="frozen", lr=0.1, layers=1))
    moving = trainable(model)
    assert "1.linear.weight" in moving and any("layer.1." in name for name in moving)
    assert not any("layer.0" in name or "embeddings" in name for name in moving)


@pytest.mark.parametrize("mini_batch", [None, 2])
def test_the_loss_is_cross_entropy_over_the_batchs_mean_maxsim(base, mini_batch):
    model = late_interaction.load(base)
    block = InBatchLoss(kind="in-batch", scale=20.0, hard_negatives=False, mini_batch=mini_batch)
    features = [model.preprocess(texts, task=task) for texts, task in ((QUERIES, "query"), (PASSAGES, "document"))]
    computed = training.loss(model, block)(features).item()
    tokens = [len(vectors) for vectors in model.encode_query(QUERIES)]
    scores = [
        [20.0 * late_interaction.score(model, [query], [passage], 64)[0] / count for passage in PASSAGES]
        for query, count in zip(QUERIES, tokens, strict=True)
    ]
    by_hand = [math.log(sum(map(math.exp, of_query))) - of_query[at] for at, of_query in enumerate(scores)]
    assert computed == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-4)


@pytest.mark.parametrize("block", [LORA, IA3])
def test_a_merged_model_with_its_projection_gives_the_same_scores(base, tmp_path, block):
    import torch

    model = late_interaction.load(base)
    untrained = late_interaction.score(model, QUERIES, PASSAGES, 4096)
    training.make_trainable(model, block)
    torch.manual_seed(3)
    with torch.no_grad():
        for values in model.parameters():
            if values.requires_grad:
                values += 0.3 * torch.randn_like(values)
    trained = late_interaction.score(model.eval(), QUERIES, PASSAGES, 4096)
    recipe = {"loss": {"kind": "in-batch", "scale": 20.0, "hard_negatives": False}}
    run = seed_run(base, block.model_dump(), recipe, Path("none.parquet"))
    deployed = training.deployed(model, run, tmp_path)
    scores = late_interaction.score(deployed, QUERIES, PASSAGES, 4096)
    assert np.abs(scores - trained).max() < 1e-4 < np.abs(scores - untrained).max()
    assert not any("lora" in name or "ia3" in name for name, _ in deployed.named_parameters())
