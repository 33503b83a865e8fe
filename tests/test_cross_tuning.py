"""An adapter on a cross-encoder is trained with the head, counted by arithmetic, and merges without a change."""
import shutil

import numpy as np
import pytest

from stages.models import cross_encoder
from stages.training import tuning
from stages.training.reranker import cross_encoder_tuning
from stages.core.errors import UserError
from stages.params.tuning import FrozenTuning, FullTuning, Ia3Tuning, LoraTuning

LORA = LoraTuning(kind="lora", lr=0.001, rank=4, alpha=8, modules=["query", "value"])
DORA = LORA.model_copy(update={"dora": True})
IA3 = Ia3Tuning(kind="ia3", lr=0.01, modules=["key", "value", "output.dense"], feedforward=["output.dense"])
QUERIES, PASSAGES = ["red boat", "clock", "x"], ["a red boat", "the green house behind the wall", "y"]


@pytest.mark.parametrize("tune, own", [(LORA, 4 * 64 * 2 * 2), (DORA, 4 * 64 * 2 * 2 + 32 * 2 * 2),
                                       (IA3, (32 * 2 + 32 + 64) * 2)])
def test_the_head_is_trained_beside_the_adapters(tiny_cross, tune, own):
    model = cross_encoder.load(tiny_cross, 7)
    cross_encoder_tuning.prepare(model, tune)
    assert tuning.count(model)[0] == own + 32 + 1
    moving = {name.rpartition("model.")[2] for name, weights in model.named_parameters() if weights.requires_grad}
    assert {name for name in moving if "lora" not in name and "ia3" not in name} == {
        "classifier.modules_to_save.default.weight", "classifier.modules_to_save.default.bias"}


def test_a_module_of_the_head_or_of_no_model_is_one_line(tiny_cross):
    with pytest.raises(UserError, match="'classifier' is a part of the head"):
        cross_encoder_tuning.prepare(cross_encoder.load(tiny_cross, 7), LORA.model_copy(update={"modules": ["classifier"]}))
    with pytest.raises(UserError, match="is called 'qeury'"):
        cross_encoder_tuning.prepare(cross_encoder.load(tiny_cross, 7), LORA.model_copy(update={"modules": ["qeury"]}))


@pytest.mark.parametrize("tune, tensors", [(LORA, 4), (DORA, 4), (IA3, 8)])
def test_a_merged_adapter_and_head_give_the_same_scores(tiny_cross, tmp_path, tune, tensors):
    import torch
    model = cross_encoder.load(tiny_cross, 7)
    start = cross_encoder.score(model, QUERIES, PASSAGES, 4096)
    cross_encoder_tuning.prepare(model, tune)
    before = tuning.snapshot(model)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name or "ia3" in name or "modules_to_save" in name:
                weights.normal_(std=0.5)
    assert len(tuning.changed(model, before)) == tensors + 2
    unmerged = cross_encoder.score(model.eval(), QUERIES, PASSAGES, 4096)
    tuning.save_adapter(model, tmp_path / "adapter")
    merged = tuning.merged(cross_encoder.load(tiny_cross, 8), tmp_path / "adapter")
    found = cross_encoder.score(merged, QUERIES, PASSAGES, 4096)
    assert np.abs(found - unmerged).max() < 1e-5 < np.abs(found - start).max()
    merged.save_pretrained(str(tmp_path / "model"))
    shutil.copy(tiny_cross / "architecture.json", tmp_path / "model")
    again = cross_encoder.score(cross_encoder.load(tmp_path / "model"), QUERIES, PASSAGES, 4096)
    assert np.abs(again - found).max() < 1e-6


def test_full_means_every_parameter(tiny_cross):
    model = cross_encoder.load(tiny_cross, 7)
    cross_encoder_tuning.prepare(model, FullTuning(kind="full", lr=0.1))
    assert tuning.count(model)[0] == tuning.count(model)[1]


def test_frozen_leaves_the_upper_layers_and_the_head(tiny_cross):
    model = cross_encoder.load(tiny_cross, 7)
    cross_encoder_tuning.prepare(model, FrozenTuning(kind="frozen", lr=0.1, layers=1))
    moving = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert any("classifier" in name for name in moving) and any("layer.1." in name for name in moving)
    assert not any("layer.0." in name or "embeddings" in name for name in moving)
