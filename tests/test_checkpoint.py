"""Checkpoints: each shape as its library loads it, the pooling that was asked for, and no code unasked."""
import json
import shutil

import numpy as np
import pytest

from click.testing import CliRunner
from conftest import ROOT
from ruamel.yaml import YAML

from stages import checkpoint
from stages.core import fingerprint
from stages.models import encoding

TEXTS = ["a red boat", "the green house behind the wall", "x"]


def fetched(source, out, monkeypatch, **row):
    """What the verb says and leaves in `out`, for checkpoints.cross from a folder."""
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    blocks["checkpoints"]["cross"] = {"architecture": "cross", "source": f"folder:{source}", "tokens": 32, **row}
    blocks["rerankers"] = {}
    blocks["report"]["pairs"] = []
    out.mkdir()
    with open(out / "params.yaml", "w") as file:
        YAML().dump(blocks, file)
    monkeypatch.chdir(out)
    done = CliRunner().invoke(checkpoint.main, ["cross", "--out", "cross"])
    return str(done.exception or "")


@pytest.fixture
def made(tiny_model, tmp_path, monkeypatch):
    """A function that makes a checkpoint of the tiny model, or of another folder, and returns its folder."""
    def make(name, source=tiny_model, **row):
        assert fetched(source, tmp_path / name, monkeypatch, **row) == ""
        return tmp_path / name / "cross"
    return make


@pytest.fixture
def bare(tiny_model, tmp_path):
    """The tiny model as plain weights, without modules of sentence-transformers."""
    folder = shutil.copytree(tiny_model, tmp_path / "bare")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    for name in ("1_Pooling", "2_Normalize"):
        shutil.rmtree(folder / name)
    return folder


def facts(folder):
    return json.loads((folder / "architecture.json").read_text())


def pooled(folder, mode):
    """Unit vectors of TEXTS, computed without sentence-transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    body, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        found = [body(**tokenizer(text, truncation=True, max_length=32, return_tensors="pt")).last_hidden_state[0]
                 for text in TEXTS]
    return np.stack([torch.nn.functional.normalize(tokens[0] if mode == "cls" else tokens.mean(0), dim=0).numpy()
                     for tokens in found])


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_bare_weights_are_pooled_as_asked_and_a_models_own_pooling_is_replaced(mode, tiny_model, bare, made):
    expected = pooled(tiny_model, mode)
    for source in (bare, tiny_model):
        folder = made(f"{source.name}-{mode}", source, shape="symmetric", pooling=mode)
        assert np.abs(encoding.encode(encoding.load_encoder(folder), TEXTS, 64) - expected).max() < 1e-6
        assert facts(folder) == {"architecture": "symmetric", "sha256": fingerprint.of_file(source / "model.safetensors"),
                                 "tokens": 32, "pooling": mode}


def test_a_symmetric_model_is_what_was_fetched(tiny_model, made):
    folder = made("plain", shape="symmetric", tokens=16)
    assert (folder / "model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    assert (folder / "architecture.json").read_text() == json.dumps({"architecture": "symmetric", "sha256": fingerprint.of_file(
        tiny_model / "model.safetensors"), "tokens": 16}, indent=2) + "\n"
    assert encoding.load_encoder(folder).max_seq_length == 16


def test_two_towers_start_as_the_one_model_that_was_fetched(tiny_model, bare, made):
    from sentence_transformers import SentenceTransformer
    base = encoding.encode(encoding.load_encoder(tiny_model), TEXTS, 64)
    folder = made("two", shape="asymmetric")
    model = encoding.load_encoder(folder)
    for role in ("query", "document"):
        assert np.array_equal(encoding.encode(model, TEXTS, 64, role=role), base)
    theirs = SentenceTransformer(str(folder), local_files_only=True)
    assert np.abs(theirs.encode_query(TEXTS) - base).max() < 1e-6
    assert np.array_equal(theirs.encode_query(TEXTS), theirs.encode_document(TEXTS))
    assert theirs[0].sub_modules["query"][0].max_seq_length == 32
    assert facts(folder)["architecture"] == "asymmetric" and "pooling" not in facts(folder)
    by_cls = encoding.load_encoder(made("cls", bare, shape="asymmetric", pooling="cls"))
    assert np.abs(encoding.encode(by_cls, TEXTS, 64, role="query") - pooled(tiny_model, "cls")).max() < 1e-6


@pytest.mark.parametrize("architecture", ["symmetric", "asymmetric", "cross"])
def test_random_weights_are_others_and_always_the_same(shape, tiny_model, made, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file
    source = shutil.copytree(tiny_model, tmp_path / "source")
    known = {name: 2 * weights for name, weights in load_file(tiny_model / "model.safetensors").items()}
    save_file(known, source / "model.safetensors", {"format": "pt"})
    torch.manual_seed(5)
    first, second = (made(name, source, shape=shape, random=True) for name in ("first", "second"))
    assert fingerprint.of_folder(first) == fingerprint.of_folder(second)
    assert facts(first)["random"] is True
    assert facts(first)["sha256"] == fingerprint.of_file(source / "model.safetensors")
    drawn = load_file(next(first.rglob("model.safetensors")))
    assert {name: weights.shape for name, weights in drawn.items()} == \
        {name: weights.shape for name, weights in known.items()}
    assert not [name for name, weights in drawn.items() if "dense.weight" in name and torch.equal(weights, known[name])]
    assert (next(first.rglob("tokenizer.json"))).read_text() == (tiny_model / "tokenizer.json").read_text()


def test_late_interaction_is_what_its_library_loads(made):
    from sentence_transformers import MultiVectorEncoder
    folder = made("late", shape="late", dimension=8, query_tokens=12)
    assert MultiVectorEncoder(str(folder), local_files_only=True).encode_query(TEXTS)[0].shape[1] == 8
    assert {"query_tokens": 12, "dimension": 8}.items() <= facts(folder).items()


def test_a_retrievers_body_is_kept_without_its_modules(tiny_model, tmp_path, monkeypatch):
    from transformers import AutoModelForSequenceClassification
    assert fetched(tiny_model, tmp_path / "a", monkeypatch) == ""
    made = tmp_path / "a/cross"
    facts = json.loads((made / "architecture.json").read_text())
    assert facts == {"architecture": "cross", "sha256": facts["sha256"], "tokens": 32, "remote_code": False}
    assert (made / "model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    assert not list(made.glob("*odules.json")) and not [path for path in made.iterdir() if path.is_dir()]
    assert json.loads((made / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert AutoModelForSequenceClassification.from_pretrained(made, num_labels=1).config.num_labels == 1


def test_a_trained_head_stays(tiny_model, tmp_path, monkeypatch):
    import torch
    from sentence_transformers import CrossEncoder

    from stages.models import cross_encoder
    trained = CrossEncoder(str(tiny_model), num_labels=1, local_files_only=True)
    trained.save_pretrained(str(tmp_path / "trained"))
    assert fetched(tmp_path / "trained", tmp_path / "a", monkeypatch) == ""
    assert torch.equal(cross_encoder.load(tmp_path / "a/cross").model.classifier.weight,
                       trained.model.classifier.weight)


def test_code_of_its_own_and_too_many_tokens_are_one_line(tiny_model, tmp_path, monkeypatch):
    own = shutil.copytree(tiny_model, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Theirs"}}))
    assert "checkpoints.cross.remote_code: true" in fetched(own, tmp_path / "a", monkeypatch)
    assert not (tmp_path / "a/cross").exists()
    assert fetched(own, tmp_path / "b", monkeypatch, remote_code=True) == ""
    assert json.loads((tmp_path / "b/cross/architecture.json").read_text())["remote_code"] is True
    assert "more than the 512 positions" in fetched(tiny_model, tmp_path / "c", monkeypatch, tokens=513)
