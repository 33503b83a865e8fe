"""Weights that move are the weights that were named, and merged adapters change nothing but the speed."""
import numpy as np
import pytest

from stages.lib import encoding, tuning
from stages.lib.mistakes import Mistake
from stages.lib.params import Full, Lora

TEXTS = ["a red boat", "the green house behind the wall", "x"]
LORA = Lora(kind="lora", lr=0.001, rank=4, alpha=8, modules=["query", "value"], dropout=0.0)


def test_lora_counts_as_the_arithmetic_says_and_the_paper_does_not(tiny_model):
    """rank x (inputs + outputs): 147,456 for rank 16 on query and value of all-MiniLM-L6-v2, 0.65 % and not 3.9 %."""
    real = {f"layer.{layer}.{name}": (384, 384) for layer in range(6) for name in ("query", "key", "value")}
    assert tuning.lora_parameters(real, 16, ["query", "value"]) == 147_456
    model = encoding.load_encoder(tiny_model)
    whole = tuning.count(model)[1]
    tuning.prepare(model, LORA)
    assert tuning.count(model) == (4 * 64 * 2 * 2, whole + 4 * 64 * 2 * 2)


def test_a_module_that_is_not_there_is_one_line_before_and_without_loading(tiny_model):
    with pytest.raises(Mistake, match="no linear layer of the model is called 'qeury'; there are: dense, key"):
        tuning.prepare(encoding.load_encoder(tiny_model), LORA.model_copy(update={"modules": ["qeury"]}))
    shapes = tuning.stored_shapes(tiny_model / "model.safetensors")
    assert tuning.lora_parameters(shapes, 4, ["query", "value"]) == 4 * 64 * 2 * 2
    with pytest.raises(Mistake, match="qeury"):
        tuning.lora_parameters(shapes, 4, ["qeury"])


def test_a_frozen_weight_that_moved_is_found(tiny_model):
    import torch
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, LORA)
    before = tuning.snapshot(model)
    with pytest.raises(Mistake, match="moved no weight"):
        tuning.changed(model, before)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        next(p for name, p in parameters.items() if "lora_B" in name).add_(1)
    assert len(tuning.changed(model, before)) == 1
    with torch.no_grad():
        next(p for name, p in parameters.items() if "base_layer" in name).add_(1)
    with pytest.raises(Mistake, match="frozen"):
        tuning.changed(model, before)


def test_a_merged_adapter_gives_the_same_vectors(tiny_model, tmp_path):
    import torch
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, LORA)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    tuning.save_adapter(model, tmp_path / "adapter")
    plain = encoding.load_encoder(tiny_model)
    start = encoding.encode(plain, TEXTS, 64)
    merged = encoding.encode(tuning.merged(plain, tmp_path / "adapter"), TEXTS, 64)
    unmerged = encoding.encode(model.eval(), TEXTS, 64)
    assert np.abs(merged - unmerged).max() < 1e-6 < np.abs(merged - start).max()


def test_full_means_every_parameter(tiny_model):
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, Full(kind="full", lr=0.1))
    assert tuning.count(model)[0] == tuning.count(model)[1]
