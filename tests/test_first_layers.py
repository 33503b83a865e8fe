"""A checkpoint cut to its first layers computes what the whole one has after them; a cut that is none is one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stages import check
from stages.core.errors import UserError
from stages.models import cross_encoder, encoding, first_layers, late_interaction, towers
from tests import planted_models, plants

TEXTS = ["a red boat", "the green house behind the wall", "x"]


def hidden(folder: Path, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """The hidden states (texts, tokens, width) of a retriever's transformer after a layer, and the mask of tokens."""
    import torch

    body = towers.first(encoding.load_encoder(folder), "document")
    read = body.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = body.model(**read, output_hidden_states=True).hidden_states[layer]
    return states.numpy(), read["attention_mask"].numpy()


@pytest.mark.parametrize("architecture", ["symmetric", "asymmetric"])
def test_vectors_are_those_of_the_whole_models_hidden_states_pooled(architecture, tiny_model, tmp_path):
    from sentence_transformers import SentenceTransformer

    cut = planted_models.copied(tiny_model, tmp_path / "cut", architecture, layers=1)
    states, mask = hidden(tiny_model, 1)
    pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    wanted = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    plain = SentenceTransformer(str(cut), device="cpu", local_files_only=True)
    whole = encoding.encode(encoding.load_encoder(tiny_model), TEXTS, 64)
    for made in (plain.encode_query(TEXTS), plain.encode_document(TEXTS)):
        assert np.abs(made - wanted).max() < 1e-5 < 1e-3 < np.abs(made - whole).max()
    assert {body.model.config.num_hidden_layers for body in towers.bodies(plain).values()} == {1}


def test_rerankers_keep_what_follows_the_last_layer(tiny_model, tmp_path):
    late = planted_models.copied(tiny_model, tmp_path / "late", "late-interaction", layers=1)
    states, mask = hidden(tiny_model, 1)
    vectors = late_interaction.load(late).encode_document(TEXTS)
    for made, state, kept in zip(vectors, states, mask, strict=True):
        wanted = state[kept == 1]
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
        assert np.abs(made.cpu().numpy() - wanted).max() < 1e-5
    cross = planted_models.copied(tiny_model, tmp_path / "cross", "cross-encoder", layers=1)
    assert cross_encoder.load(cross, 3).config.num_hidden_layers == 1


def test_lists_of_a_decoder_with_an_entry_a_layer_are_cut_too(tmp_path):
    """And its final normalisation comes after the last layer that is kept."""
    import torch

    whole = planted_models.decoder(tmp_path / "whole")
    shutil.copytree(whole, tmp_path / "cut")
    cut = planted_models.checkpoint(tmp_path / "cut", layers=1)
    config = json.loads((cut / "config.json").read_text())
    assert config["num_hidden_layers"] == len(config["layer_types"]) == 1
    body, short = (encoding.load_encoder(each)[0] for each in (whole, cut))
    read = body.tokenizer(TEXTS[:1], return_tensors="pt")
    with torch.no_grad():
        state = body.model(**read, output_hidden_states=True).hidden_states[1]
        assert torch.allclose(body.model.norm(state), short.model(**read).last_hidden_state, atol=1e-5)


def test_shards_and_their_index_lose_the_layers_together(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_model, tmp_path / "sharded")
    weights = load_file(tiny_model / "model.safetensors")
    (tmp_path / "sharded/model.safetensors").unlink()
    names = sorted(weights)
    files = [f"model-0000{at}-of-00002.safetensors" for at in (1, 2)]
    parts = dict(zip(files, (names[::2], names[1::2]), strict=True))
    for file, part in parts.items():
        save_file({name: weights[name] for name in part}, tmp_path / "sharded" / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    (tmp_path / "sharded/model.safetensors.index.json").write_text(json.dumps(index))
    whole = planted_models.copied(tiny_model, tmp_path / "whole", layers=1)
    sharded = planted_models.checkpoint(tmp_path / "sharded", layers=1)
    one, other = (encoding.encode(encoding.load_encoder(each), TEXTS, 64) for each in (whole, sharded))
    assert np.array_equal(one, other)


def test_a_list_of_the_length_is_cut_wherever_it_is_and_no_other():
    names = [f"encoder.layer.{at}.{part}.weight" for at in range(3) for part in ("a", "b")]
    names += ["heads.0.weight", "heads.1.weight", "embeddings.weight"]
    gone = {f"encoder.layer.{at}.{part}.weight" for at in (1, 2) for part in ("a", "b")}
    assert first_layers.left_out(names, 3, 1) == gone
    with pytest.raises(UserError, match="layers: the weights hold no list of 12 layers"):
        first_layers.left_out(names, 12, 1)


def test_a_cut_that_keeps_every_layer_is_found_before_anything_runs(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def said(layers: int, **changed) -> str:
        blocks = plants.blocks()
        short = {"architecture": "symmetric", "source": f"folder:{tiny_model}", "layers": layers}
        checkpoints = {**blocks["checkpoints"], "minilm": short}
        plants.write_params(tmp_path, checkpoints=checkpoints, **changed)
        return plants.fails(check.main, "--data=data", "--training=training", "--out=checked").splitlines()[-1]

    wanted = "Error: checkpoints.minilm.layers: 2 are not fewer than the 2 layers that this model has"
    assert said(2).startswith(wanted)
    blocks = plants.blocks()
    frozen = {**blocks["retrievers"]["full-hard"], "tuning": "top"}
    line = said(1, retrievers={**blocks["retrievers"], "full-hard": frozen}, top={**blocks["top"], "layers": 1})
    assert line.startswith("Error: retrievers.full-hard: layers of tuning kind frozen: 1 would be frozen and the model")
    with pytest.raises(UserError, match="layers: 3 are not fewer than the 2 layers"):
        planted_models.copied(tiny_model, tmp_path / "no", layers=3)


def test_a_checkpoint_takes_the_layers_of_base_and_one_without_weights_has_none():
    from stages import params

    blocks = plants.blocks()
    blocks["checkpoints"]["short"] = {"architecture": "symmetric"}
    blocks["base"] = {**blocks["base"], "layers": 3}
    assert params.parse(blocks).checkpoints["short"].layers == 3
    blocks["checkpoints"]["bm25"]["layers"] = 3
    with pytest.raises(ValueError, match="layers: architecture lexical has no weights"):
        params.parse(blocks)
