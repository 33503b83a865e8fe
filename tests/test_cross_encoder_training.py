"""An adapter on a cross-encoder is trained with the head, counted by arithmetic, and merges without a change."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import UserError
from stages.models import cross_encoder
from stages.params.tuning import FrozenTuning, FullTuning, Ia3Tuning, LoraTuning
from stages.training import tuning, weights
from stages.training.reranker import cross_encoder as training
from tests.plants import seed_run

LORA = LoraTuning(kind="lora", lr=0.001, rank=4, lora_alpha=8, modules=["query", "value"])
DORA = LORA.model_copy(update={"dora": True})
IA3 = Ia3Tuning(kind="ia3", lr=0.01, modules=["key", "value", "output.dense"], feedforward=["output.dense"])
QUERIES, PASSAGES = ["red boat", "clock", "x"], ["a red boat", "the green house behind the wall", "y"]


def prepared(tiny_cross, block):
    model = cross_encoder.load(tiny_cross, 7)
    tuning.prepare(model, block, training.head(model))
    return model


@pytest.mark.parametrize(
    "block, own", [(LORA, 4 * 64 * 2 * 2), (DORA, 4 * 64 * 2 * 2 + 32 * 2 * 2), (IA3, (32 * 2 + 32 + 64) * 2)]
)
def test_the_head_is_trained_with_the_adapters(tiny_cross, block, own):
    model = prepared(tiny_cross, block)
    assert weights.count(model)[0] == own + 32 + 1
    moving = {name.rpartition("model.")[2] for name, weights in model.named_parameters() if weights.requires_grad}
    assert {name for name in moving if "lora" not in name and "ia3" not in name} == {
        "classifier.modules_to_save.default.weight",
        "classifier.modules_to_save.default.bias",
    }


def test_a_module_of_the_head_or_of_no_model_is_one_line(tiny_cross):
    with pytest.raises(UserError, match="'classifier' is a part of the head"):
        prepared(tiny_cross, LORA.model_copy(update={"modules": ["classifier"]}))
    with pytest.raises(UserError, match="is called 'qeury'"):
        prepared(tiny_cross, LORA.model_copy(update={"modules": ["qeury"]}))


@pytest.mark.parametrize("block, tensors", [(LORA, 4), (DORA, 4), (IA3, 8)])
def test_a_merged_adapter_and_head_give_the_same_scores(tiny_cross, tmp_path, block, tensors):
    import torch

    base = cross_encoder.score(cross_encoder.load(tiny_cross, 7), QUERIES, PASSAGES, 4096)
    model = prepared(tiny_cross, block)
    before = weights.snapshot(model)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "lora_B" in name or "ia3" in name or "modules_to_save" in name:
                values.normal_(std=0.5)
    assert len(weights.changed(model, before)) == tensors + 2
    unmerged = cross_encoder.score(model.eval(), QUERIES, PASSAGES, 4096)
    merged = tuning.deployed(model, block, lambda: cross_encoder.load(tiny_cross, 8), tmp_path)
    scores = cross_encoder.score(merged, QUERIES, PASSAGES, 4096)
    assert np.abs(scores - unmerged).max() < 1e-5 < np.abs(scores - base).max()
    merged.save_pretrained(str(tmp_path / "model"))
    shutil.copy(tiny_cross / "architecture.json", tmp_path / "model")
    again = cross_encoder.score(cross_encoder.load(tmp_path / "model"), QUERIES, PASSAGES, 4096)
    assert np.abs(again - scores).max() < 1e-6


def test_full_means_every_parameter(tiny_cross):
    model = prepared(tiny_cross, FullTuning(kind="full", lr=0.1))
    assert weights.count(model)[0] == weights.count(model)[1]


def test_frozen_leaves_the_upper_layers_and_the_head(tiny_cross):
    model = prepared(tiny_cross, FrozenTuning(kind="frozen", lr=0.1, layers=1))
    moving = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert any("classifier" in name for name in moving) and any("layer.1." in name for name in moving)
    assert not any("layer.0." in name or "embeddings" in name for name in moving)


def test_margins_of_less_than_a_batch_are_one_line(tiny_cross, tmp_path):
    texts = {name: ["a", "b", "c", "d"] for name in ("anchor", "positive", "negative")}
    scores = {"positive_score": [1.0, None, None, 1.0], "negative_score": [0.5] * 4}
    pq.write_table(pa.table({**texts, **scores}), tmp_path / "seed-3.parquet")
    recipe = {"loss": {"kind": "margin-mse"}}
    run = seed_run(tiny_cross, {"kind": "full", "lr": 0.1}, recipe, tmp_path / "seed-3.parquet")
    with pytest.raises(UserError, match="2 triplets have all scores, less than a batch of 4; mine a deeper"):
        training.prepare(run, Path("work"))
