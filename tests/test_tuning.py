"""Weights that move are the weights that were named, and merged adapters change nothing but the speed."""
import numpy as np
import pytest

from stages.models import encoding
from stages.training import tuning
from stages.core.errors import UserError
from stages.params.tuning import FrozenTuning, FullTuning, Ia3Tuning, LoraTuning

TEXTS = ["a red boat", "the green house behind the wall", "x"]
LORA = LoraTuning(kind="lora", lr=0.001, rank=4, alpha=8, modules=["query", "value"], dropout=0.0)
DORA = LORA.model_copy(update={"dora": True, "rslora": True})
IA3 = Ia3Tuning(kind="ia3", lr=0.01, modules=["key", "value", "intermediate.dense"], feedforward=["intermediate.dense"])
ADAPTERS = {"lora": (LORA, 4 * 64 * 2 * 2), "dora": (DORA, (4 * 64 + 32) * 2 * 2), "ia3": (IA3, (32 + 32 + 32) * 2)}
LAYER = 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 2 * 2 * 32  # weights of one layer of the tiny model


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
    assert tuning.lora_parameters(real, 16, ["query", "value"]) == 147_456
    model = encoding.load_encoder(tiny_model)
    whole = tuning.count(model)[1]
    tuning.prepare(model, LORA)
    assert tuning.count(model) == (4 * 64 * 2 * 2, whole + 4 * 64 * 2 * 2)


def test_a_module_that_is_not_there_is_one_line_before_and_without_loading(tiny_model):
    with pytest.raises(UserError, match="no linear layer of the model is called 'qeury'; there are: dense, key"):
        tuning.prepare(encoding.load_encoder(tiny_model), LORA.model_copy(update={"modules": ["qeury"]}))
    shapes = tuning.stored_shapes(tiny_model / "model.safetensors")
    assert tuning.lora_parameters(shapes, 4, ["query", "value"]) == 4 * 64 * 2 * 2
    with pytest.raises(UserError, match="qeury"):
        tuning.lora_parameters(shapes, 4, ["qeury"])


def test_a_frozen_weight_that_moved_is_found(tiny_model):
    import torch
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, LORA)
    before = tuning.snapshot(model)
    with pytest.raises(UserError, match="moved no weight"):
        tuning.changed(model, before)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        next(p for name, p in parameters.items() if "lora_B" in name).add_(1)
    assert len(tuning.changed(model, before)) == 1
    with torch.no_grad():
        next(p for name, p in parameters.items() if "base_layer" in name).add_(1)
    with pytest.raises(UserError, match="frozen"):
        tuning.changed(model, before)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_merged_adapter_gives_the_same_vectors(kind, tiny_model, tmp_path):
    tune, expected = ADAPTERS[kind]
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, tune)
    assert tuning.count(model)[0] == expected
    disturb(model)
    tuning.save_adapter(model, tmp_path / "adapter")
    plain = encoding.load_encoder(tiny_model)
    start = encoding.encode(plain, TEXTS, 64)
    merged = encoding.encode(tuning.merged(plain, tmp_path / "adapter"), TEXTS, 64)
    unmerged = encoding.encode(model.eval(), TEXTS, 64)
    assert np.abs(merged - unmerged).max() < 1e-5 < 100 * 1e-5 < np.abs(merged - start).max()
    assert not [name for name, _ in plain.named_parameters() if "lora" in name or "ia3" in name]


def test_rslora_divides_by_the_root_of_the_rank(tiny_model):
    scales = []
    for tune in (LORA, LORA.model_copy(update={"rslora": True})):
        model = encoding.load_encoder(tiny_model)
        tuning.prepare(model, tune)
        scales += {layer.scaling["default"] for layer in model.modules() if hasattr(layer, "scaling")
                   and isinstance(layer.scaling, dict)}
    assert scales == [8 / 4, 8 / 2]


def test_frozen_leaves_what_lies_above_the_named_layers(tiny_model):
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, FrozenTuning(kind="frozen", lr=0.1, layers=1))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert tuning.count(model)[0] == LAYER + 32 * 32 + 32
    assert {name.rpartition("model.")[2].partition(".attention")[0].partition(".intermediate")[0]
            .partition(".output")[0].partition(".dense")[0] for name in trained} == {"encoder.layer.1", "pooler"}
    with pytest.raises(UserError, match="layers of tune kind frozen: 2 would be frozen and the model has 2"):
        tuning.prepare(encoding.load_encoder(tiny_model), FrozenTuning(kind="frozen", lr=0.1, layers=2))


def test_what_weights_on_disk_cannot_have_is_found_from_their_header(tiny_model):
    shapes = tuning.stored_shapes(tiny_model / "model.safetensors")
    for tune in (LORA, DORA, IA3, FrozenTuning(kind="frozen", lr=0.1, layers=1)):
        tuning.check_stored(shapes, tune)
    with pytest.raises(UserError, match="modules of tune kind ia3: no linear layer of the model is called 'kee'"):
        tuning.check_stored(shapes, IA3.model_copy(update={"modules": ["kee"]}))
    with pytest.raises(UserError, match="feedforward of tune kind ia3: 'dense' is not among its modules"):
        tuning.check_stored(shapes, IA3.model_copy(update={"feedforward": ["dense"]}))
    with pytest.raises(UserError, match="the model has 2"):
        tuning.check_stored(shapes, FrozenTuning(kind="frozen", lr=0.1, layers=3))


def test_full_means_every_parameter(tiny_model):
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, FullTuning(kind="full", lr=0.1))
    assert tuning.count(model)[0] == tuning.count(model)[1]
