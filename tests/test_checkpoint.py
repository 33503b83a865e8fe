"""Checkpoints: each architecture as its library loads it, the pooling that was asked for, and no code unasked."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from stages import checkpoint
from stages.core import fingerprint
from stages.models import cross_encoder, encoding, model_folder
from stages.models.model_folder import Description
from tests import plants

TEXTS = ["a red boat", "the green house behind the wall", "x"]


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """A function that runs the verb for a checkpoint from a folder; returns the checkpoint's folder and the output."""

    def run(name, source, **options):
        block = {"architecture": "cross-encoder", "source": f"folder:{source}", "tokens": 32, **options}
        checkpoints = {**plants.blocks()["checkpoints"], "tiny": block}
        plants.write_params(tmp_path / name, checkpoints=checkpoints)
        monkeypatch.chdir(tmp_path / name)
        done = CliRunner().invoke(checkpoint.main, ["tiny", "--out", "made"])
        assert done.exit_code == 0 or done.output.startswith("Error: checkpoints.tiny."), done.output
        return tmp_path / name / "made", done.output

    return run


@pytest.fixture
def made(tiny_model, fetch):
    """A function that makes a checkpoint of the tiny model, or of another folder, and returns its folder."""

    def make(name, source=tiny_model, **options):
        folder, output = fetch(name, source, **options)
        assert folder.is_dir(), output
        return folder

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


def pooled(folder, mode):
    """Unit vectors of TEXTS, computed without sentence-transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    body, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    vectors = []
    with torch.inference_mode():
        for text in TEXTS:
            features = tokenizer(text, truncation=True, max_length=32, return_tensors="pt")
            tokens = body(**features).last_hidden_state[0]
            vector = tokens[0] if mode == "cls" else tokens.mean(0)
            vectors.append(torch.nn.functional.normalize(vector, dim=0).numpy())
    return np.stack(vectors)


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_bare_weights_are_pooled_as_asked_and_a_models_own_pooling_is_replaced(mode, tiny_model, bare, made):
    expected = pooled(tiny_model, mode)
    for source in (bare, tiny_model):
        folder = made(f"{source.name}-{mode}", source, architecture="symmetric", pooling=mode)
        assert np.abs(encoding.encode(encoding.load_encoder(folder), TEXTS, 64) - expected).max() < 1e-6
        sha256 = fingerprint.of_file(source / "model.safetensors")
        assert model_folder.describe(folder) == Description("symmetric", sha256, 32, pooling=mode)


def test_a_symmetric_model_is_what_was_fetched(tiny_model, made):
    folder = made("plain", architecture="symmetric", tokens=16)
    assert (folder / "model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    sha256 = fingerprint.of_file(tiny_model / "model.safetensors")
    stored = json.loads((folder / "architecture.json").read_text())
    assert stored == {"architecture": "symmetric", "sha256": sha256, "tokens": 16}
    assert encoding.load_encoder(folder).max_seq_length == 16


def test_two_towers_begin_as_the_one_model_that_was_fetched(tiny_model, bare, made):
    from sentence_transformers import SentenceTransformer

    base = encoding.encode(encoding.load_encoder(tiny_model), TEXTS, 64)
    folder = made("two", architecture="asymmetric")
    model = encoding.load_encoder(folder)
    for role in ("query", "document"):
        assert np.array_equal(encoding.encode(model, TEXTS, 64, role=role), base)
    theirs = SentenceTransformer(str(folder), local_files_only=True)
    assert np.abs(theirs.encode_query(TEXTS) - base).max() < 1e-6
    assert np.array_equal(theirs.encode_query(TEXTS), theirs.encode_document(TEXTS))
    assert theirs[0].sub_modules["query"][0].max_seq_length == 32
    description = model_folder.describe(folder)
    assert description.architecture == "asymmetric" and not description.pooling
    by_cls = encoding.load_encoder(made("cls", bare, architecture="asymmetric", pooling="cls"))
    assert np.abs(encoding.encode(by_cls, TEXTS, 64, role="query") - pooled(tiny_model, "cls")).max() < 1e-6


@pytest.mark.parametrize("architecture", ["symmetric", "asymmetric", "cross-encoder"])
def test_random_weights_are_others_and_always_the_same(architecture, tiny_model, made, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    source = shutil.copytree(tiny_model, tmp_path / "source")
    weights = {name: 2 * values for name, values in load_file(tiny_model / "model.safetensors").items()}
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    torch.manual_seed(5)
    first, second = (made(name, source, architecture=architecture, random=True) for name in ("first", "second"))
    assert fingerprint.of_folder(first) == fingerprint.of_folder(second)
    description = model_folder.describe(first)
    assert description.random and description.sha256 == fingerprint.of_file(source / "model.safetensors")
    drawn = load_file(next(first.rglob("model.safetensors")))
    assert {name: values.shape for name, values in drawn.items()} == {
        name: values.shape for name, values in weights.items()
    }
    dense = [name for name in drawn if "dense.weight" in name]
    assert dense and not [name for name in dense if torch.equal(drawn[name], weights[name])]
    assert (next(first.rglob("tokenizer.json"))).read_text() == (tiny_model / "tokenizer.json").read_text()


def test_late_interaction_is_what_its_library_loads(made):
    from sentence_transformers import MultiVectorEncoder

    folder = made("late", architecture="late-interaction", dimension=8, query_tokens=12)
    assert MultiVectorEncoder(str(folder), local_files_only=True).encode_query(TEXTS)[0].shape[1] == 8
    description = model_folder.describe(folder)
    assert (description.query_tokens, description.dimension) == (12, 8)


def test_a_retrievers_body_is_left_without_its_modules(tiny_model, made):
    from transformers import AutoModelForSequenceClassification

    folder = made("body")
    sha256 = fingerprint.of_file(tiny_model / "model.safetensors")
    assert model_folder.describe(folder) == Description("cross-encoder", sha256, 32)
    assert (folder / "model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    assert not list(folder.glob("*odules.json")) and not [path for path in folder.iterdir() if path.is_dir()]
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).config.num_labels == 1


def test_a_trained_head_stays(tiny_model, tmp_path, made):
    import torch
    from sentence_transformers import CrossEncoder

    trained = CrossEncoder(str(tiny_model), num_labels=1, local_files_only=True)
    trained.save_pretrained(str(tmp_path / "trained"))
    loaded = cross_encoder.load(made("kept", tmp_path / "trained"))
    assert torch.equal(loaded.model.classifier.weight, trained.model.classifier.weight)


def test_models_of_another_kind_and_wrong_hashes_are_one_line(tiny_model, tmp_path, fetch):
    own = shutil.copytree(tiny_model, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Theirs"}}))
    folder, output = fetch("refused", own)
    assert "checkpoints.tiny.remote_code: this model needs code of its own" in output and not folder.exists()
    generating = shutil.copytree(tiny_model, tmp_path / "generating")
    (generating / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForCausalLM"]}))
    wrong = {
        "tokens: 513 is more than the 512 positions": (tiny_model, {"tokens": 513}),
        "architecture: cross-encoder needs an encoder": (generating, {}),
        "sha256: model.safetensors has sha256": (tiny_model, {"sha256": "0" * 64}),
        "holds no model": (tmp_path, {}),
    }
    for at, (message, (source, options)) in enumerate(wrong.items()):
        folder, output = fetch(f"wrong-{at}", source, **options)
        assert message in output and not folder.exists()


def test_bm25_and_published_runs_are_described(tmp_path, monkeypatch):
    (tmp_path / "x.trec").write_text("q1 Q0 a 1 2.5 t\n")
    published = {"architecture": "published-run", "source": f"trec:{tmp_path / 'x.trec'}"}
    published |= {"corpus": "in_domain", "split": "test"}
    plants.write_params(tmp_path, checkpoints={**plants.blocks()["checkpoints"], "theirs": published})
    monkeypatch.chdir(tmp_path)
    for name in ("bm25", "theirs"):
        assert CliRunner().invoke(checkpoint.main, [name, "--out", f"made/{name}"]).exit_code == 0
    assert model_folder.describe(tmp_path / "made/bm25") == Description("lexical", k1=0.9, b=0.4)
    assert model_folder.describe(tmp_path / "made/theirs") == Description(
        "published-run", corpus="in_domain", split="test"
    )
    assert (tmp_path / "made/theirs/run.trec").read_text() == (tmp_path / "x.trec").read_text()
