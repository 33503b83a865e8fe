"""Two towers: each text goes to its own, adapters and counts reach both, and what was trained belongs to its tower."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import encode, train
from stages.core.errors import UserError
from stages.models import asymmetric, encoding, model_folder, towers
from stages.models.model_folder import Description
from stages.params.tuning import FullTuning, Ia3Tuning, LoraTuning
from stages.training import tuning, weights
from stages.training.tuning import lora
from tests import plants

TEXTS = ["a red boat", "the green house behind the wall", "x", "the old boat " * 40]
FULL = FullTuning(kind="full", lr=0.1)
LORA = LoraTuning(kind="lora", lr=0.01, rank=4, lora_alpha=8, modules=["query", "value"], dropout=0.1)
IA3 = Ia3Tuning(kind="ia3", lr=0.1, modules=["key", "value"])
ONE = 4 * 64 * 2 * 2  # what LORA trains in one tower of the tiny model


@pytest.fixture(scope="module")
def two_towers(tiny_model, tmp_path_factory):
    """The tiny model as two towers."""
    folder = tmp_path_factory.mktemp("two") / "model"
    shutil.copytree(tiny_model, folder)
    description = Description("asymmetric", "0" * 64, 32)
    asymmetric.build(folder, description)
    model_folder.write(description, folder)
    return folder


def moved(model, role, amount=0.05):
    """Move the trainable weights of one tower."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in towers.parts(model)[role].parameters():
            if parameter.requires_grad:
                parameter += amount * torch.randn_like(parameter)
    return model


def vectors(model):
    return [encoding.encode(model, TEXTS, 64, role=role) for role in towers.ROLES]


def test_a_text_goes_to_the_tower_of_its_role(two_towers):
    model = encoding.load_encoder(two_towers)
    before = vectors(model)
    queries, passages = vectors(moved(model, "query"))
    assert np.array_equal(passages, before[1]) and np.abs(queries - before[0]).max() > 0.01
    assert np.abs(queries - model.encode_query(TEXTS)).max() < 1e-6
    assert np.abs(passages - model.encode_document(TEXTS)).max() < 1e-6
    assert np.abs(towers.alone(model, "query").encode(TEXTS) - queries).max() < 1e-6


def test_towers_have_tokenizers_of_their_own(two_towers):
    model = encoding.load_encoder(two_towers)
    model[0].sub_modules["query"][0].max_seq_length = 5
    queries, passages = vectors(model)
    assert np.array_equal(queries[0], passages[0]) and not np.array_equal(queries[3], passages[3])


def test_no_text_is_encoded_without_a_role(two_towers, tiny_model):
    with pytest.raises(ValueError):
        encoding.load_encoder(two_towers).encode(TEXTS)
    one = encoding.load_encoder(tiny_model)
    assert np.array_equal(encoding.encode(one, TEXTS, 64, role="query"), encoding.encode(one, TEXTS, 64))


def test_swapped_towers_give_other_vectors(two_towers):
    model = moved(encoding.load_encoder(two_towers), "query")
    queries, passages = vectors(model)
    sub = model[0].sub_modules
    sub["query"], sub["document"] = sub["document"], sub["query"]
    swapped = vectors(model)
    assert np.array_equal(swapped[0], passages) and np.array_equal(swapped[1], queries)
    assert np.abs(queries - passages).max() > 0.01


def test_an_adapter_reaches_both_towers(two_towers, tmp_path):
    """The library's own add_adapter reaches the first only, and leaves the other fully trainable."""
    model = encoding.load_encoder(two_towers)
    model.add_adapter(lora.configuration(LORA, task_type="FEATURE_EXTRACTION"))
    wrong = weights.count_by_tower(model)
    assert wrong["query"][0] == ONE and wrong["document"][0] == wrong["document"][1]
    model = encoding.load_encoder(two_towers)
    tuning.prepare(model, LORA)
    assert [trainable for trainable, _ in weights.count_by_tower(model).values()] == [ONE, ONE]
    assert weights.count(model)[0] == 2 * ONE
    unmerged = vectors(moved(moved(model, "query", 0.5), "document", 0.3).eval())
    merged = vectors(tuning.deployed(model, LORA, lambda: encoding.load_encoder(two_towers), tmp_path))
    base = vectors(encoding.load_encoder(two_towers))
    for one, other, before in zip(merged, unmerged, base, strict=True):
        assert np.abs(one - other).max() < 1e-5 < 1e-3 < np.abs(one - before).max()
    config = json.loads((tmp_path / "adapter/document/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(two_towers)


@pytest.mark.parametrize("block", [FULL, LORA, IA3])
def test_a_tower_that_did_not_move_stops_the_run(block, two_towers):
    model = encoding.load_encoder(two_towers)
    tuning.prepare(model, block)
    before = weights.snapshot(model)
    moved(model, "query")
    with pytest.raises(UserError, match="moved no weight of the document tower"):
        weights.changed(model, before)
    moved(model, "document")
    assert len(weights.changed(model, before)) == sum(p.requires_grad for p in model.parameters())


def test_columns_have_roles():
    assert towers.roles(["anchor", "positive", "negative_1"]) == {
        "anchor": "query",
        "positive": "document",
        "negative_1": "document",
    }
    assert towers.roles(["anchor", "passage", "label"]) == {"anchor": "query", "passage": "document"}


def test_the_verb_encodes_passages_by_one_tower_and_queries_by_the_other(two_towers, tmp_path, monkeypatch):
    model = moved(encoding.load_encoder(two_towers), "query")
    model.save_pretrained(str(tmp_path / "models/seed-1"), create_model_card=False)
    shutil.copy(two_towers / "architecture.json", tmp_path / "models/seed-1")
    (tmp_path / "corpus/topics").mkdir(parents=True)
    for name in ("docs", "topics/test"):
        pq.write_table(pa.table({"text": TEXTS}), tmp_path / f"corpus/{name}.parquet")
    (tmp_path / "corpus/docs.json").write_text(json.dumps({"tokens": None}))
    plants.write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ("--model", "models", "--collection", "corpus", "--out", "made")
    plants.succeeds(encode.main, "variant", "corpus", *options)
    queries, passages = vectors(encoding.load_encoder(tmp_path / "models/seed-1"))
    assert np.abs(np.load("made/seed-1/docs.npy") - passages).max() < 1e-6
    assert np.abs(np.load("made/seed-1/topics/test.npy") - queries).max() < 1e-6
    assert np.abs(queries - passages).max() > 0.01


SHARED = {"batch": 4, "epochs": 8, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
RECIPES = {
    "pairs": {"loss": {"kind": "contrastive", "distance": "cosine", "margin": 0.5}, "normalize": False, **SHARED},
    "batches": {"loss": {"kind": "in-batch", "scale": 20.0, "hard_negatives": True}, "normalize": True, **SHARED},
}
TUNINGS = {"whole": FULL.model_copy(update={"lr": 0.001}), "dora": LORA.model_copy(update={"dora": True})}
VARIANTS = {"full-two": ("whole", "pairs"), "dora-two": ("dora", "batches")}


@pytest.fixture(scope="module")
def study(two_towers, tmp_path_factory):
    """A folder with params.yaml, two towers in checkpoint/, and triplets of 24 queries."""
    folder = tmp_path_factory.mktemp("study")
    known = plants.blocks()
    retrievers = {
        variant: {"checkpoint": "towers", "tuning": tuning, "triplets": "random", "recipe": recipe}
        for variant, (tuning, recipe) in VARIANTS.items()
    }
    plants.write_params(
        folder,
        recipes=known["recipes"] | RECIPES,
        retrievers=known["retrievers"] | retrievers,
        **{name: block.model_dump(exclude_none=True) for name, block in TUNINGS.items()},
    )
    shutil.copytree(two_towers, folder / "checkpoint")
    (folder / "triplets").mkdir()
    texts = {
        "anchor": [f"query {at}" for at in range(24)],
        "positive": [f"answer to query {at}" for at in range(24)],
        "negative": [f"nothing {at}" for at in range(24)],
    }
    pq.write_table(pa.table(texts), folder / "triplets/seed-13.parquet")
    return folder


@pytest.fixture
def working_folder(study, monkeypatch):
    monkeypatch.chdir(study)


def arguments(variant, out):
    log = f"{out}.json"
    return [variant, "--checkpoint", "checkpoint", "--triplets", "triplets", "--out", out, "--log", log]


def trained_unlike(folder, study):
    """Whether both towers of a seed run left the checkpoint, each another way, and give unit vectors."""
    base, model = vectors(encoding.load_encoder(study / "checkpoint")), vectors(encoding.load_encoder(folder))
    pairs = [*zip(base, model, strict=True), model]
    assert all(np.abs(one - other).max() > 1e-3 for one, other in pairs)
    raw = encoding.load_encoder(folder).encode_query(TEXTS)
    return np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-5)


@pytest.mark.usefixtures("working_folder")
def test_killed_training_of_two_towers_ends_with_the_same_bytes(study):
    printed = plants.succeeds(train.main, *arguments("dora-two", "models/dora-two"))
    dora = ONE + 32 * 2 * 2
    assert f"{dora:,} of" in printed and "of the query tower are trained" in printed
    assert "of the document tower are trained" in printed
    again = arguments("dora-two", "again/dora-two")
    assert plants.kill_in_training("stages.train", again, study) > 0
    plants.succeeds(train.main, *again)
    cost = json.loads((study / "data/costs/train/dora-two.seed-13.json").read_text())
    assert cost["resumed"] and cost["steps"] == 48 and cost["trainable"] == 2 * dora
    assert 0 < cost["examples_per_second"] * cost["train_seconds"] < 24 * 8
    assert plants.contents(study / "again/dora-two") == plants.contents(study / "models/dora-two")
    assert trained_unlike(study / "models/dora-two/seed-13", study)


@pytest.mark.usefixtures("working_folder")
def test_labelled_pairs_train_two_towers_too(study):
    plants.succeeds(train.main, *arguments("full-two", "models/full-two"))
    log = json.loads((study / "models/full-two.json").read_text())["seed_runs"][0]["log"]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert trained_unlike(study / "models/full-two/seed-13", study)
