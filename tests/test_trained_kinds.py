"""Retrievers of many kinds: what training reads is what search reads, and what is saved is what was measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core import costs
from stages.core.errors import UserError
from stages.models import encoding, local_settings, reloading, towers
from stages.training import loop, retriever, vectors
from tests import planted_models
from tests.planted_models import INSTRUCTION
from tests.plants import seed_run

NOUNS = ["boat", "house", "clock", "river", "king", "wall", "garden", "horse"]
LONG = " and then another " * 40
TRIPLETS = {
    "anchor": [f"What is a {noun}?" for noun in NOUNS],
    "positive": [f"The {noun} is seen here by many people" for noun in NOUNS[:-1]] + [f"A Horse {LONG}"],
    "negative": [f"Nothing of a {noun} but a Stone" for noun in NOUNS],
}
PROMPTS = {"query": INSTRUCTION, "passage": "passage: "}
SHORT = {"query": "Q: ", "passage": "P: "}
FULL = {"kind": "full", "lr": 0.003}
LORA = {"kind": "lora", "lr": 0.03, "rank": 2, "lora_alpha": 4, "modules": ["query", "value"]}
IN_BATCH = {"kind": "in-batch", "hard_negatives": True}


@pytest.fixture
def triplets(tmp_path) -> Path:
    pq.write_table(pa.table(TRIPLETS), tmp_path / "seed-3.parquet")
    return tmp_path / "seed-3.parquet"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No latencies are measured, and costs are written elsewhere."""
    monkeypatch.setattr(costs, "latencies", lambda **models: {})
    monkeypatch.chdir(tmp_path)


def made(kind: str, tiny_model: Path, folder: Path) -> Path:
    """The checkpoint of a kind."""
    if kind == "prompts":
        return planted_models.copied(tiny_model, folder, prompts=PROMPTS)
    if kind == "caps":
        return planted_models.copied(tiny_model, folder, query_tokens=8, passage_tokens=20, prompts=SHORT)
    if kind == "prompts left out":
        planted_models.copied(tiny_model, folder, prompts=PROMPTS)
        pooling = folder / "1_Pooling/config.json"
        pooling.write_text(json.dumps(json.loads(pooling.read_text()) | {"include_prompt": False}))
        return folder
    if kind == "two towers":
        options = {"query_tokens": 8, "passage_tokens": 20, "prompts": SHORT}
        return planted_models.copied(tiny_model, folder, "asymmetric", **options)
    if kind == "truncated":
        planted_models.copied(tiny_model, folder)
        said = folder / "config_sentence_transformers.json"
        said.write_text(json.dumps(json.loads(said.read_text()) | {"truncate_dim": 8}))
        return folder
    if kind == "dot":
        return planted_models.rebuilt(tiny_model, folder, similarity="dot")
    if kind == "dense":
        return planted_models.rebuilt(tiny_model, folder, "dense", "normalize")
    if kind == "no normalize":
        return planted_models.rebuilt(tiny_model, folder)
    if kind == "static":
        return planted_models.static(folder)
    return planted_models.decoder(folder)


def read(model, text: str, role: str) -> dict:
    """What encode_query or encode_document gives the first module of a model."""
    seen = []
    hook = towers.first(model, role).register_forward_pre_hook(lambda module, given: seen.append(dict(given[0])))
    getattr(model, f"encode_{role}")([text])
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(
    "kind", ["prompts", "caps", "prompts left out", "two towers", "truncated", "decoder with a chat template"]
)
def test_training_reads_a_text_as_search_does(kind, tiny_model, triplets, tmp_path):
    """With its prompt, its chat template and its cap, and of the prompt what pooling takes."""
    import torch

    base = made(kind, tiny_model, tmp_path / "base")
    run = seed_run(base, FULL, {"loss": IN_BATCH}, triplets)
    trainer = retriever.prepare(run, tmp_path / "work").trainer
    model = encoding.load_encoder(base)
    for at in (0, 7):
        row = trainer.train_dataset[at]
        features, _ = trainer.collect_features(trainer.data_collator([row]))
        roles = ("query", "document", "document")
        for fed, text, role in zip(features, row.values(), roles, strict=True):
            wanted = read(model, text, role)
            assert torch.equal(fed["input_ids"], wanted["input_ids"])
            assert torch.equal(fed["attention_mask"], wanted["attention_mask"])
            assert fed.get("prompt_length") == wanted.get("prompt_length")
            trainer.model.eval()
            vector = trainer.model(dict(fed))["sentence_embedding"].detach().numpy()
            searched = encoding.encode(model, [text], 512, role=role)
            assert vector == pytest.approx(searched, abs=1e-5)


def trained(base: Path, block: dict, triplets: Path, work: Path, **recipe):
    """The model of a seed run of two steps as it was in memory, and its folder."""
    kept = []

    def deployed(model, run, folder):
        kept.append(retriever.deployed(model, run, folder))
        return kept[0]

    run = seed_run(base, block, {"loss": IN_BATCH, "epochs": 1, **recipe}, triplets)
    loop.train(run, work, retriever.prepare, deployed, reloading.check)
    return kept[0], work / "model"


KINDS = ["prompts", "prompts left out", "two towers", "truncated", "dot", "dense", "no normalize", "static", "decoder"]
CASES = [(kind, FULL) for kind in KINDS] + [
    (kind, LORA) for kind in ("prompts", "two towers", "dot", "dense", "decoder")
]


@pytest.mark.parametrize("kind, block", CASES, ids=[f"{kind}-{block['kind']}" for kind, block in CASES])
def test_a_trained_model_keeps_what_its_base_says_and_loads_as_it_was_measured(
    kind, block, tiny_model, triplets, tmp_path
):
    """It has the modules of the base; the texts that were trained have other vectors than before."""
    from sentence_transformers import SentenceTransformer

    base = made(kind, tiny_model, tmp_path / "base")
    if kind == "decoder" and block is LORA:
        block = {**LORA, "modules": ["q_proj", "v_proj"]}
    model, folder = trained(base, block, triplets, tmp_path / "work")
    assert planted_models.settings_of(folder) == planted_models.settings_of(base)
    read = replace(local_settings.reading(base), trained_in="float32")
    assert local_settings.reading(folder) == read  # what the report's table shows
    plain, before = SentenceTransformer(str(folder), device="cpu"), encoding.load_encoder(base)
    assert [type(part) for part in plain] == [type(part) for part in before]
    for role in towers.ROLES:
        texts = [*TRIPLETS["anchor"], *TRIPLETS["positive"]]
        measured = encoding.encode(model, texts, 512, role=role)
        theirs = getattr(plain, f"encode_{role}")(texts, normalize_embeddings=kind != "dot")
        assert (
            np.abs(measured - theirs).max()
            < 1e-5
            < 1e-3
            < np.abs(measured - encoding.encode(before, texts, 512, role=role)).max()
        )


def test_a_model_without_a_transformer_is_tuned_whole(triplets, tmp_path):
    base = planted_models.static(tmp_path / "base")
    for block in (LORA, {"kind": "frozen", "lr": 0.1, "layers": 1}):
        with pytest.raises(UserError, match=r"a StaticEmbedding has no transformer .* say kind: full"):
            retriever.prepare(seed_run(base, block, {"loss": IN_BATCH}, triplets), tmp_path / "work")


def test_a_model_of_16_bits_is_trained_in_32(tiny_model, triplets, tmp_path):
    """Its rounded weights move as those of the same values in float32 do."""
    import torch
    from safetensors.torch import load_file, save_file

    folders = [tmp_path / name for name in ("short", "long")]
    for folder in folders:
        made("prompts", tiny_model, folder)
        stored = {name: values.bfloat16() for name, values in load_file(folder / "model.safetensors").items()}
        stored = stored if folder.name == "short" else {name: values.float() for name, values in stored.items()}
        save_file(stored, folder / "model.safetensors", {"format": "pt"})
    short, long = (trained(folder, FULL, triplets, tmp_path / f"{folder.name}-work")[1] for folder in folders)
    assert (short / "model.safetensors").read_bytes() == (long / "model.safetensors").read_bytes()
    assert {values.dtype for values in load_file(short / "model.safetensors").values()} == {torch.float32}


def test_a_decoder_without_a_padding_token_is_padded_and_masked(tmp_path):
    """A text has the same vector alone and beside a longer one."""
    base = planted_models.decoder(tmp_path / "base", template=False, padding=False)
    model = encoding.load_encoder(base)
    together = model.encode_query([TRIPLETS["anchor"][0], TRIPLETS["positive"][7]])
    assert together[:1] == pytest.approx(model.encode_query(TRIPLETS["anchor"][:1]), abs=1e-4)


def test_vectors_that_do_not_depend_on_the_text_are_not_trained(triplets, tmp_path):
    base = planted_models.decoder(tmp_path / "base", pooling="cls")
    run = seed_run(base, FULL, {"loss": IN_BATCH}, triplets)
    with pytest.raises(UserError, match=r"^x: 8 texts \(queries\) all have the same vector.*pooling: lasttoken"):
        retriever.prepare(run, tmp_path / "work")


@pytest.mark.parametrize(
    "recipe, message",
    [
        ({"normalize": True, "loss": IN_BATCH}, "normalize: true trains unit vectors"),
        ({"loss": {"kind": "triplet", "distance": "cosine", "margin": 0.2}}, "distance: cosine trains what is not"),
        ({"loss": {"kind": "contrastive", "margin": 0.5}}, "contrastive pulls pairs to an absolute distance"),
    ],
)
def test_a_recipe_for_cosine_does_not_train_a_model_of_dot_products(recipe, message, tiny_model, triplets, tmp_path):
    run = seed_run(made("dot", tiny_model, tmp_path / "dot"), FULL, recipe, triplets)
    with pytest.raises(UserError, match=f"^x: its recipe: {message}"):
        retriever.prepare(run, tmp_path / "work")
    retriever.prepare(seed_run(made("dense", tiny_model, tmp_path / "cosine"), FULL, recipe, triplets), tmp_path)


def test_dot_products_of_vectors_that_the_model_normalises_are_cosines(tiny_model, tmp_path):
    base = planted_models.rebuilt(tiny_model, tmp_path / "base", "normalize", similarity="dot")
    assert vectors.similarity(encoding.load_encoder(base)) == "cosine"


@pytest.mark.parametrize("normalize, length", [(None, 1), (True, 1), (False, 0)])
@pytest.mark.parametrize("kind", ["dense", "two towers", "no normalize"])
def test_the_loss_sees_unit_vectors_unless_it_is_told_otherwise(kind, normalize, length, tiny_model, tmp_path):
    model = encoding.load_encoder(made(kind, tiny_model, tmp_path / "base"))
    seen = vectors.trained(model, normalize).eval()
    made_of = seen.encode_query(TRIPLETS["anchor"])
    lengths = np.linalg.norm(made_of, axis=1)
    assert np.allclose(lengths, 1, atol=1e-5) == bool(length)
    assert {id(p) for p in seen.parameters()} == {id(p) for p in model.parameters()}
