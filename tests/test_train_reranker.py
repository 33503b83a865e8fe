"""The verb train-reranker, cross-encoders and late interaction: killed work ends with the bytes of undisturbed work."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import train_reranker
from stages.models import cross_encoder, late_interaction
from stages.models.model_folder import Description
from tests.plants import blocks, contents, fails, kill_in_training, succeeds, write_params

LORA = {"rank": 2, "lora_alpha": 4, "modules": ["query", "value"], "dropout": 0.1}
TUNINGS = {
    "cross-adamw": {"kind": "full", "lr": 0.001},
    "cross-lora": {"kind": "lora", "lr": 0.001, "optimizer": "lion", **LORA},
}
SHARED = {"batch": 4, "epochs": 10, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
RECIPES = {
    "pointwise": {"loss": {"kind": "pointwise"}, **SHARED},
    "listwise": {"loss": {"kind": "listwise"}, "stop": 9, "schedule": "cosine", **SHARED},
    "margins": {"loss": {"kind": "margin-mse", "scale": 2.0}, **SHARED, "epochs": 40},
    "in-batch": {"loss": {"kind": "in-batch", "scale": 20.0, "hard_negatives": True}, **SHARED},
    "half": {"loss": {"kind": "pointwise"}, **SHARED, "epochs": 1, "precision": "bfloat16"},
    "in-batch-half": {
        "loss": {"kind": "in-batch", "hard_negatives": False},
        **SHARED,
        "epochs": 1,
        "precision": "bfloat16",
    },
}
VARIANTS = {
    "cross-full": ("cross", "cross-adamw", "random", "pointwise"),
    "cross-lists": ("cross", "cross-lora", "random", "listwise"),
    "cross-margins": ("cross", "cross-adamw", "random", "margins"),
    "cross-none": ("cross", "none", "none", "none"),
    "late-lora": ("late", "cross-lora", "random", "in-batch"),
    "cross-half": ("cross", "cross-adamw", "random", "half"),
    "late-half": ("late", "cross-adamw", "random", "in-batch-half"),
    "late-none": ("late", "none", "none", "none"),
}


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory) -> Path:
    """A folder with params.yaml, a body in cross/ and in late/, and triplets of 24 queries that a pool scored."""
    folder = tmp_path_factory.mktemp("study")
    names = ("checkpoint", "tuning", "triplets", "recipe")
    rerankers = {
        variant: {**dict(zip(names, values, strict=True)), "first_stage": "base"}
        for variant, values in VARIANTS.items()
    }
    known = blocks()
    recipes = {**known["recipes"], **RECIPES}
    write_params(folder, rerankers=rerankers, recipes=recipes, report={**known["report"], "pairs": []}, **TUNINGS)
    shutil.copytree(tiny_model, folder / "cross")
    cross_encoder.build(folder / "cross", Description("cross-encoder", tokens=32))
    shutil.copytree(tiny_model, folder / "late")
    description = Description("late-interaction", tokens=32, query_tokens=8, dimension=16)
    late_interaction.build(folder / "late", description)
    (folder / "triplets").mkdir()
    triplets = {
        "anchor": [f"query {at}" for at in range(24)],
        "positive": [f"found query {at}" for at in range(24)],
        "negative": [f"nothing {at}" for at in range(24)],
        "positive_score": [None] * 12 + [3.0] * 12,
        "negative_score": [1.0] * 24,
    }
    pq.write_table(pa.table(triplets), folder / "triplets/seed-13.parquet")
    return folder


@pytest.fixture(autouse=True)
def working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def arguments(variant: str, out: str, checkpoint: str | None = None) -> list[str]:
    options = {
        "checkpoint": checkpoint or VARIANTS[variant][0],
        "triplets": "triplets",
        "out": out,
        "log": f"{out}.json",
    }
    return [variant, *(word for name, value in options.items() for word in (f"--{name}", value))]


def trained(variant: str) -> Path:
    """The folder of a variant's models, trained without a disturbance."""
    out = Path("models") / variant
    if not out.exists():
        succeeds(train_reranker.main, *arguments(variant, str(out)))
    return out


def log(variant: str) -> list[dict]:
    (seed_run,) = json.loads(Path(f"models/{variant}.json").read_text())["seed_runs"]
    return seed_run["log"]


@pytest.mark.parametrize(
    "variant, steps, epochs", [("cross-full", 120, 10), ("cross-lists", 54, 9), ("late-lora", 60, 10)]
)
def test_killed_training_goes_on_and_ends_with_the_same_bytes(variant, steps, epochs, folder):
    whole, again = trained(variant), Path("again") / variant
    saved = kill_in_training("stages.train_reranker", arguments(variant, str(again)), folder)
    assert not again.exists()
    succeeds(train_reranker.main, *arguments(variant, str(again)))
    cost = json.loads(Path(f"data/costs/train/{variant}.seed-13.json").read_text())
    assert cost["resumed"] and cost["steps"] == steps
    pairs = 48 * epochs * (steps - saved) / steps
    assert cost["examples_per_second"] * cost["train_seconds"] == pytest.approx(pairs, rel=0.01)
    assert contents(again) == contents(whole)
    assert Path(f"{again}.json").read_text() == Path(f"{whole}.json").read_text()
    assert not list(Path(".scratch/train-reranker").iterdir())
    assert len(log(variant)) == steps and all({"step", "loss", "lr"} <= set(entry) for entry in log(variant))


def test_a_trained_model_is_a_cross_encoder_that_the_library_loads():
    import torch
    from sentence_transformers import CrossEncoder

    seed_run = trained("cross-full") / "seed-13"
    model = CrossEncoder(str(seed_run), local_files_only=True)
    assert model.max_seq_length == 32 and model.num_labels == 1
    theirs = model.predict([("query 3", "found query 3")], activation_fn=torch.nn.Identity())
    ours = cross_encoder.score(cross_encoder.load(seed_run), ["query 3"], ["found query 3"], 64)
    assert ours == pytest.approx(theirs, abs=1e-6)
    losses = [entry["loss"] for entry in log("cross-full")]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_a_model_records_its_recipe_as_data_and_no_prose():
    seed_run = trained("cross-lists") / "seed-13"
    recipe = json.loads((seed_run / "recipe.json").read_text())
    assert list(recipe) == ["variant", "seed", "base", "tuning", "recipe", "triplets_sha256"]
    assert (recipe["variant"], recipe["seed"]) == ("cross-lists", 13)
    assert recipe["base"] == {"architecture": "cross-encoder", "tokens": 32}
    assert recipe["tuning"]["rank"] == 2 and recipe["tuning"]["optimizer"] == "lion"
    assert recipe["recipe"]["loss"] == {"kind": "listwise"} and recipe["recipe"]["stop"] == 9
    assert not (seed_run / "README.md").exists()


def test_margin_mse_trains_on_the_pools_margin():
    model = cross_encoder.load(trained("cross-margins") / "seed-13")
    scores = cross_encoder.score(model, ["query 15"] * 2, ["found query 15", "nothing 15"], 64)
    assert scores[0] - scores[1] == pytest.approx(2 * (3.0 - 1.0), abs=1.0)
    losses = [entry["loss"] for entry in log("cross-margins")]
    assert len(losses) == 120 and losses[0] == pytest.approx(16, abs=3) and losses[-1] < 1


@pytest.mark.parametrize("variant", ["cross-half", "late-half"])
def test_training_in_bfloat16_leaves_a_model_that_scores_in_float32_as_it_does_when_loaded(variant):
    trained(variant)  # fails where the saved model does not score as the one in memory


def test_late_interaction_without_fine_tuning_is_its_base_checkpoint(folder):
    pretrained = trained("late-none") / "pretrained"
    assert contents(pretrained) == contents(folder / "late")
    assert late_interaction.score(late_interaction.load(pretrained), ["a"], ["a"], 64).shape == (1,)


def test_a_cross_encoder_without_fine_tuning_is_its_base_checkpoint_and_needs_a_trained_head():
    assert "no trained head" in fails(train_reranker.main, *arguments("cross-none", "models/cross-none"))
    checkpoint = trained("cross-full") / "seed-13"
    succeeds(train_reranker.main, *arguments("cross-none", "models/cross-none", str(checkpoint)))
    assert contents(Path("models/cross-none/pretrained")) == contents(checkpoint)
    assert json.loads(Path("models/cross-none.json").read_text()) == {"variant": "cross-none", "seed_runs": []}
