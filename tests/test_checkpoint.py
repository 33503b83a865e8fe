"""Checkpoints of shape cross: the body as transformers loads it, its head if it has one, and no code unasked."""
import json

from click.testing import CliRunner
from conftest import ROOT
from ruamel.yaml import YAML

from stages import checkpoint


def fetched(source, out, monkeypatch, **row):
    """What the verb says and leaves in `out`, for checkpoints.cross from a folder."""
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    blocks["checkpoints"]["cross"] = {"shape": "cross", "source": f"folder:{source}", "tokens": 32, **row}
    out.mkdir()
    with open(out / "params.yaml", "w") as file:
        YAML().dump(blocks, file)
    monkeypatch.chdir(out)
    done = CliRunner().invoke(checkpoint.main, ["cross", "--out", "cross"])
    return str(done.exception or "")


def test_a_retrievers_body_is_kept_without_its_modules(tiny_model, tmp_path, monkeypatch):
    from transformers import AutoModelForSequenceClassification
    assert fetched(tiny_model, tmp_path / "a", monkeypatch) == ""
    made = tmp_path / "a/cross"
    facts = json.loads((made / "start.json").read_text())
    assert facts == {"shape": "cross", "sha256": facts["sha256"], "tokens": 32, "remote_code": False}
    assert (made / "model.safetensors").read_bytes() == (tiny_model / "model.safetensors").read_bytes()
    assert not list(made.glob("*odules.json")) and not [path for path in made.iterdir() if path.is_dir()]
    assert json.loads((made / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert AutoModelForSequenceClassification.from_pretrained(made, num_labels=1).config.num_labels == 1


def test_a_trained_head_stays(tiny_model, tmp_path, monkeypatch):
    import torch
    from sentence_transformers import CrossEncoder

    from stages.lib import cross_encoding
    trained = CrossEncoder(str(tiny_model), num_labels=1, local_files_only=True)
    trained.save_pretrained(str(tmp_path / "trained"))
    assert fetched(tmp_path / "trained", tmp_path / "a", monkeypatch) == ""
    assert torch.equal(cross_encoding.load(tmp_path / "a/cross").model.classifier.weight,
                       trained.model.classifier.weight)


def test_code_of_its_own_and_too_many_tokens_are_one_line(tiny_model, tmp_path, monkeypatch):
    import shutil
    own = shutil.copytree(tiny_model, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Theirs"}}))
    assert "checkpoints.cross.remote_code: true" in fetched(own, tmp_path / "a", monkeypatch)
    assert not (tmp_path / "a/cross").exists()
    assert fetched(own, tmp_path / "b", monkeypatch, remote_code=True) == ""
    assert json.loads((tmp_path / "b/cross/start.json").read_text())["remote_code"] is True
    assert "more than the 512 positions" in fetched(tiny_model, tmp_path / "c", monkeypatch, tokens=513)
