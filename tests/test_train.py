"""The verb train on one tower: what it writes, and which code a variant depends on."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import train
from stages.core import code
from stages.models import encoding
from stages.params.models import RERANKING
from stages.params.tuning import KINDS
from stages.training import losses, reranker, tuning
from tests.plants import blocks, contents, succeeds, write_params

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small", "new") for noun in ("boat", "house", "clock", "river")]
LORA = {"kind": "lora", "lr": 0.01, "rank": 2, "lora_alpha": 4, "modules": ["query"], "dropout": 0.1}
RECIPE = {
    "loss": {"kind": "triplet", "distance": "euclidean", "margin": 5.0},
    "normalize": False,
    "batch": 4,
    "epochs": 2,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "clip": 1.0,
    "select": "best",
}


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory) -> Path:
    """A folder with params.yaml, triplets of 16 queries and two seeds, and a validation sample."""
    folder = tmp_path_factory.mktemp("study")
    names = {"checkpoint": "minilm", "tuning": "small", "triplets": "random", "recipe": "short"}
    none = {"tuning": "none", "triplets": "none", "recipe": "none"}
    retrievers = {"bm25": {"checkpoint": "bm25", **none}, "base": {"checkpoint": "minilm", **none}, "tuned": names}
    write_params(
        folder,
        seeds=[1, 2],
        retrievers=retrievers,
        interpolations={},
        fusions={},
        rerankers={},
        recipes={"none": {}, "short": RECIPE},
        report={**blocks()["report"], "pairs": []},
        small=LORA,
    )
    (folder / "triplets/validation").mkdir(parents=True)
    triplets = {"anchor": TEXTS, "positive": TEXTS[5:] + TEXTS[:5], "negative": TEXTS[3:] + TEXTS[:3]}
    for seed in (1, 2):
        pq.write_table(pa.table(triplets), folder / f"triplets/seed-{seed}.parquet")
    queries = {"text": TEXTS, "relevant": [[str(at)] for at in range(16)]}
    pq.write_table(pa.table(queries), folder / "triplets/validation/queries.parquet")
    passages = {"doc_id": [str(at) for at in range(16)], "text": [f"{text} seen here" for text in TEXTS]}
    pq.write_table(pa.table(passages), folder / "triplets/validation/passages.parquet")
    return folder


@pytest.fixture
def run(folder, tiny_model, monkeypatch):
    monkeypatch.chdir(folder)

    def run(variant: str, out: str) -> str:
        options = ("--checkpoint", tiny_model, "--triplets", "triplets", "--out", out, "--log", f"{out}.json")
        return succeeds(train.main, variant, *options)

    return run


def test_without_fine_tuning_a_variant_is_its_base_checkpoint(run, folder, tiny_model):
    run("base", "models/base")
    assert contents(folder / "models/base/pretrained") == contents(tiny_model)
    assert json.loads((folder / "models/base.json").read_text()) == {"variant": "base", "seed_runs": []}


def test_a_trained_variant_is_whole_and_the_same_again(run, folder):
    printed = run("tuned", "models/tuned")
    assert "tuned, seed 2: 256 of" in printed and "tensors changed" in printed
    run("tuned", "again/tuned")
    assert contents(folder / "again/tuned") == contents(folder / "models/tuned")
    log = json.loads((folder / "models/tuned.json").read_text())
    assert log == json.loads((folder / "again/tuned.json").read_text())
    assert [seed_run["seed"] for seed_run in log["seed_runs"]] == [1, 2]
    for seed_run in log["seed_runs"]:
        points = {entry["step"]: entry["RR@10"] for entry in seed_run["log"] if "RR@10" in entry}
        assert list(points) == [0, 8] and points[seed_run["best_step"]] == max(points.values())
        assert (seed_run["steps"], seed_run["trainable"], seed_run["changed"]) == (8, 256, 4)
    model = encoding.load_encoder(folder / "models/tuned/seed-1")
    assert np.allclose(np.linalg.norm(model.encode(TEXTS), axis=1), 1, atol=1e-5)
    assert (folder / "models/tuned/seed-1/adapter/adapter_model.safetensors").exists()
    assert {"base_ms", "unmerged_ms", "merged_ms"} <= set(
        json.loads((folder / "data/costs/latency/tuned.seed-1.json").read_text())
    )
    assert not list((folder / ".scratch/train").iterdir())


def test_a_model_records_its_recipe_as_data_and_no_prose(run, folder, tiny_model):
    if not (folder / "models/tuned").exists():
        run("tuned", "models/tuned")
    seed_run = folder / "models/tuned/seed-2"
    recipe = json.loads((seed_run / "recipe.json").read_text())
    assert (recipe["variant"], recipe["seed"]) == ("tuned", 2) and len(recipe["triplets_sha256"]) == 64
    assert recipe["base"] == json.loads((tiny_model / "architecture.json").read_text())
    assert recipe["tuning"] == {**LORA, "optimizer": "adamw", "rslora": False, "dora": False, "dense": False}
    assert recipe["recipe"] == {**RECIPE, "schedule": "linear", "precision": "float32"}
    assert not (seed_run / "README.md").exists()


def closure(*modules: str) -> set[str]:
    return {path.relative_to(code.ROOT).as_posix() for path in code.closure(*modules)}


def test_a_variant_depends_on_the_code_of_its_own_kinds_alone():
    of_verb, of_rerankers = closure("stages.train"), closure("stages.train_reranker")
    kinds = [*map(losses.module, ("triplet", "in-batch", "contrastive", "pointwise", "listwise", "margin-mse"))]
    kinds += map(tuning.module, KINDS[1:])
    for module in kinds:
        path = f"{module.replace('.', '/')}.py"
        assert (code.ROOT / path).is_file() and path not in of_verb | of_rerankers
        others = [other for other in kinds if other != module]
        assert path not in closure("stages.train", *others)
    for module in map(reranker.module, RERANKING):
        path = f"{module.replace('.', '/')}.py"
        assert (code.ROOT / path).is_file() and path not in of_rerankers
    assert not [path for path in of_verb | of_rerankers if path.startswith("stages/reporting")]
