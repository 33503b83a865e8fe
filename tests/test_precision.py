"""What models compute in: auto is what the hardware does by itself, and what was computed is written down."""

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.models import encoding, precision
from stages.params import parse
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "flag, limits, expected",
    [
        (True, {}, "bfloat16"),
        (True, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, "bfloat16"),
        (True, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "float32"),
        (True, {"DNNL_MAX_CPU_ISA": "avx2"}, "float32"),
        (False, {}, "float32"),
    ],
)
def test_auto_never_emulates_on_a_processor(flag, limits, expected, monkeypatch, capsys):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: flag)
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    assert precision.chosen("auto") == expected
    assert f"computes in {expected}" in capsys.readouterr().out
    assert precision.chosen("bfloat16") == "bfloat16"
    assert ("emulates bfloat16" in capsys.readouterr().err) == (expected == "float32")


@pytest.mark.parametrize(
    "has_bfloat16, capability, expected",
    [(True, (9, 0), "bfloat16"), (False, (7, 5), "float16"), (False, (6, 1), "float32")],
)
def test_auto_on_a_gpu(has_bfloat16, capability, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: has_bfloat16)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: capability)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    assert precision.chosen("auto") == expected


def test_blocks_take_the_precision_of_the_study_unless_they_name_their_own():
    given = YAML(typ="safe").load((ROOT / "tests/study.yaml").read_text())
    given["precision"] = "auto"
    for block in (given["index"], given["rerank"], given["recipes"]["printed"]):
        block.pop("precision", None)
    given["recipes"]["coded"]["precision"] = "bfloat16"
    study = parse(given)
    assert {study.index.precision, study.rerank.precision, study.recipes["printed"].precision} == {"auto"}
    assert study.recipes["coded"].precision == "bfloat16"


def test_bfloat16_ranks_as_float32_does(tiny_model):
    model = encoding.load_encoder(tiny_model)
    texts = [f"a text about thing {number}" for number in range(9)]
    whole, half = (encoding.encode(model, texts, 64, name) for name in ("float32", "bfloat16"))
    assert whole.dtype == half.dtype == np.float32
    assert (whole * half).sum(axis=1).min() > 0.999 and not np.array_equal(whole, half)
    assert encoding.encode(model, [], 64).shape == (0, model.get_embedding_dimension())
