"""Weights that move are the weights that were named, and merged adapters change nothing but the speed."""

import json

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.models import encoding
from stages.params.tuning import FrozenTuning, FullTuning, Ia3Tuning, LoraTuning
from stages.training import tuning, weights
from stages.training.tuning import adapters, lora, stored
from tests import planted_models

TEXTS = ["a red boat", "the green house behind the wall", "x"]
LORA = LoraTuning(kind="lora", lr=0.001, rank=4, lora_alpha=8, modules=["query", "value"], dropout=0.0)
DORA = LORA.model_copy(update={"dora": True, "rslora": True})
DENSE = "intermediate.dense"
IA3 = Ia3Tuning(kind="ia3", lr=0.01, modules=["key", "value", DENSE], feedforward=[DENSE])
EXPECTED = {"lora": (LORA, 4 * 64 * 2 * 2), "dora": (DORA, (4 * 64 + 32) * 2 * 2), "ia3": (IA3, (32 + 32 + 32) * 2)}
LAYER = 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 2 * 2 * 32  # weights of one layer of the tiny model


def frozen(layers: int) -> FrozenTuning:
    return FrozenTuning(kind="frozen", lr=0.1, layers=layers)


def disturb(model):
    """Give every trainable weight another value."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn_like(parameter)


def test_lora_counts_as_the_arithmetic_says_and_the_paper_does_not(tiny_model):
    """rank x (inputs + outputs): 147,456 for rank 16 on query and value of all-MiniLM-L6-v2, 0.65 % and not 3.9 %."""
    real = {f"layer.{layer}.{name}": (384, 384) for layer in range(6) for name in ("query", "key", "value")}
    assert lora.parameters(real, LORA.model_copy(update={"rank": 16})) == 147_456
    model = encoding.load_encoder(tiny_model)
    whole = weights.count(model)[1]
    tuning.prepare(model, LORA)
    assert weights.count(model) == (4 * 64 * 2 * 2, whole + 4 * 64 * 2 * 2)


def test_a_module_that_is_not_there_is_one_line(tiny_model):
    with pytest.raises(UserError, match="no linear layer of the model is called 'qeury'; there are: dense, key"):
        tuning.prepare(encoding.load_encoder(tiny_model), LORA.model_copy(update={"modules": ["qeury"]}))


def test_weights_that_the_library_left_trainable_stop_the_run(tiny_model, monkeypatch):
    monkeypatch.setattr(lora, "apply", lambda model, tuning, head: None)
    with pytest.raises(UserError, match=r"tuning kind lora: [\d,]+ parameters would be trained, 1,024 were asked for"):
        tuning.prepare(encoding.load_encoder(tiny_model), LORA)


def test_a_frozen_weight_that_moved_stops_the_run(tiny_model):
    import torch

    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, LORA)
    before = weights.snapshot(model)
    with pytest.raises(UserError, match="moved no weight"):
        weights.changed(model, before)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        next(p for name, p in parameters.items() if "lora_B" in name).add_(1)
    assert len(weights.changed(model, before)) == 1
    with torch.no_grad():
        next(p for name, p in parameters.items() if "base_layer" in name).add_(1)
    with pytest.raises(UserError, match="frozen"):
        weights.changed(model, before)


def test_a_weight_that_is_no_number_stops_the_run(tiny_model):
    import torch

    model = encoding.load_encoder(tiny_model)
    before = weights.snapshot(model)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="training diverged"):
        weights.changed(model, before)


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_merged_adapter_gives_the_same_vectors(kind, tiny_model, tmp_path):
    block, expected = EXPECTED[kind]
    model = encoding.load_encoder(tiny_model)
    base = encoding.encode(model, TEXTS, 64)
    tuning.prepare(model, block)
    assert weights.count(model)[0] == expected
    disturb(model)
    plain = tuning.deployed(model, block, lambda: encoding.load_encoder(tiny_model), tmp_path)
    merged = encoding.encode(plain, TEXTS, 64)
    unmerged = encoding.encode(model.eval(), TEXTS, 64)
    assert np.abs(merged - unmerged).max() < 1e-5 < 100 * 1e-5 < np.abs(merged - base).max()
    assert not [name for name, _ in plain.named_parameters() if "lora" in name or "ia3" in name]
    settings = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert settings["target_modules"] == sorted(block.modules)


def test_only_an_adapter_is_merged(tiny_model, tmp_path):
    model = encoding.load_encoder(tiny_model)
    for block in (FullTuning(kind="full", lr=0.1), frozen(1)):
        assert tuning.deployed(model, block, lambda: pytest.fail("nothing to load"), tmp_path) is model
    assert not list(tmp_path.iterdir())


def test_rslora_divides_by_the_root_of_the_rank(tiny_model):
    scales = []
    for block in (LORA, LORA.model_copy(update={"rslora": True})):
        model = encoding.load_encoder(tiny_model)
        tuning.prepare(model, block)
        scales += {
            layer.scaling["default"]
            for layer in model.modules()
            if hasattr(layer, "scaling") and isinstance(layer.scaling, dict)
        }
    assert scales == [8 / 4, 8 / 2]


def test_frozen_leaves_what_lies_above_the_named_layers(tiny_model):
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, frozen(1))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert weights.count(model)[0] == LAYER + 32 * 32 + 32
    assert all("encoder.layer.1." in name or "pooler." in name for name in trained)
    with pytest.raises(UserError, match="layers of tuning kind frozen: 2 would be frozen and the model has 2"):
        tuning.prepare(encoding.load_encoder(tiny_model), frozen(2))


@pytest.mark.parametrize("block", [LORA, IA3], ids=["lora", "ia3"])
def test_layers_after_the_transformer_stay_unless_they_are_asked_for(block, tiny_model, tmp_path):
    """With `dense` they are trained, counted, saved beside the adapter and merged with it."""
    base = planted_models.rebuilt(tiny_model, tmp_path / "base", "dense", "normalize")
    model = encoding.load_encoder(base)
    tuning.prepare(model, block)
    assert weights.untouched(model) == ["Dense"]
    own = weights.count(model)[0]
    model, both = encoding.load_encoder(base), block.model_copy(update={"dense": True})
    tuning.prepare(model, both)
    assert weights.count(model)[0] == own + 32 * 24 + 24 and weights.untouched(model) == []
    disturb(model)
    plain = tuning.deployed(model, both, lambda: encoding.load_encoder(base), tmp_path)
    merged, unmerged = (encoding.encode(each.eval(), TEXTS, 64) for each in (plain, model))
    assert np.abs(merged - unmerged).max() < 1e-5
    assert not np.allclose(plain[2].linear.weight.detach(), encoding.load_encoder(base)[2].linear.weight.detach())
    with pytest.raises(UserError, match="dense: the model has no layer with weights after its transformer"):
        tuning.prepare(encoding.load_encoder(tiny_model), both)


def test_elements_that_moved_are_counted_and_not_tensors(tiny_model):
    """Rows of the word table that no text reads do not count; one element of a tensor is one element."""
    import torch

    model = encoding.load_encoder(tiny_model)
    before = weights.snapshot(model)
    parameters = dict(model.named_parameters())
    table = next(p for name, p in parameters.items() if "word_embeddings" in name)
    others = sum(p.numel() for name, p in parameters.items() if "_embeddings.weight" not in name)
    with torch.no_grad():
        table[7] += 1
        table[9, :8] += 1
    assert weights.moved_share(model, before) == (32 + 8) / (2 * 32 + others)
    with torch.no_grad():
        for name, parameter in parameters.items():
            if "_embeddings.weight" not in name:
                parameter += 1
    assert weights.moved_share(model, before) == (32 + 8 + others) / (2 * 32 + others)


def test_full_means_every_parameter(tiny_model):
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, FullTuning(kind="full", lr=0.1))
    assert weights.count(model)[0] == weights.count(model)[1]


@pytest.mark.parametrize("block", [LORA, DORA, IA3, frozen(1), FullTuning(kind="full", lr=0.1)])
def test_layers_that_weights_on_disk_have_are_accepted(block, tiny_model):
    stored.check([tiny_model / "model.safetensors"], block)


@pytest.mark.parametrize(
    "block, message",
    [
        (
            LORA.model_copy(update={"modules": ["qeury"]}),
            "modules of tuning kind lora: no linear layer of the model is",
        ),
        (IA3.model_copy(update={"modules": ["kee"]}), "modules of tuning kind ia3: no linear layer of the model is"),
        (IA3.model_copy(update={"feedforward": ["dense"]}), "feedforward of tuning kind ia3: 'dense' is not among its"),
        (frozen(3), "the model has 2"),
    ],
)
def test_layers_that_weights_on_disk_lack_are_one_line(block, message, tiny_model):
    with pytest.raises(UserError, match=message):
        stored.check([tiny_model / "model.safetensors"], block)


def test_a_name_is_that_of_a_layer_or_its_end():
    names = ["a.query", "query", "a.myquery", "a.query.b"]
    assert [adapters.is_called(name, ["query"]) for name in names] == [True, True, False, False]
