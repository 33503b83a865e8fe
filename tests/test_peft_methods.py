"""Any method of peft by its name: trained, counted, merged or not, the same again; what it lacks is one line."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import check
from stages.core import code, costs
from stages.core.errors import UserError
from stages.models import cross_encoder, encoding, fetch, interpolation, late_interaction, reloading, towers
from stages.params.tuning import PeftTuning
from stages.training import loop, retriever, tuning
from stages.training.reranker import cross_encoder as cross_training
from stages.training.reranker import late_interaction as late_training
from stages.training.tuning import methods
from tests import planted_models, plants
from tests.test_trained_kinds import IN_BATCH, TRIPLETS

LAYERS, WIDTH, R = 2, 32, 4  # of the tiny model, and the rank that is asked for
TWO = {"modules": ["query", "value"]}
# The method's own fields, and how many parameters it trains: of each of two square layers in each of two blocks.
METHODS = {
    "hra": ({"r": R, **TWO}, 2 * LAYERS * R * WIDTH),
    "vera": ({"r": R, **TWO}, 2 * LAYERS * (R + WIDTH)),
    "loha": ({"r": R, **TWO}, 2 * LAYERS * 2 * R * (WIDTH + WIDTH)),
    "miss": ({"r": R, **TWO}, 2 * LAYERS * R * WIDTH),
    "boft": ({"boft_block_size": 4, **TWO}, 2 * LAYERS * (WIDTH // 4 * 4 * 4 + WIDTH)),
    "fourierft": ({"n_frequency": 50, **TWO}, 2 * LAYERS * 50),
    "ln_tuning": ({"target_modules": ["LayerNorm"]}, (1 + 2 * LAYERS) * 2 * WIDTH),
}
RERANKERS = {
    "cross-encoder": (cross_training, cross_encoder, {"loss": {"kind": "pointwise"}}),
    "late-interaction": (late_training, late_interaction, {"loss": IN_BATCH}),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "latencies", lambda **models: {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def triplets(tmp_path) -> Path:
    pq.write_table(pa.table(TRIPLETS), tmp_path / "seed-3.parquet")
    return tmp_path / "seed-3.parquet"


def block(method: str, **fields) -> dict:
    return {"kind": "peft", "method": method, "lr": 0.01, **fields}


def trained(base: Path, tuned: dict, triplets: Path, work: Path, **recipe) -> tuple[dict, Path]:
    """The log of a seed run of a retriever, and its model's folder."""
    run = plants.seed_run(base, tuned, {"loss": IN_BATCH, "epochs": 1, **recipe}, triplets)
    loop.train(run, work, retriever.prepare, retriever.deployed, reloading.check)
    return json.loads((work / "finished.json").read_text()), work / "model"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_no_code_names_trains_and_is_counted_as_the_arithmetic_says(
    method, tiny_model, triplets, tmp_path
):
    """It is merged: the folder's weights have the base's names, and the adapter lies beside them."""
    from safetensors import safe_open

    word = re.compile(rf"\b{method}\b", re.IGNORECASE)
    assert not [path for path in (code.ROOT / "stages").rglob("*.py") if word.search(path.read_text())]
    fields, expected = METHODS[method]
    log, folder = trained(tiny_model, block(method, **fields), triplets, tmp_path / "work")
    assert log["trainable"] == expected and log["moved"] > 0.4 and log["steps"] == 2 and "unmerged" not in log
    names = [set(safe_open(each / "model.safetensors", "numpy").keys()) for each in (folder, tiny_model)]
    assert names[0] == names[1] and (folder / "adapter/adapter_model.safetensors").exists()
    assert json.loads((folder / "recipe.json").read_text())["tuning"].items() >= block(method, **fields).items()
    vectors = [encoding.encode(encoding.load_encoder(each), TRIPLETS["anchor"], 512) for each in (folder, tiny_model)]
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4


def test_merged_weights_compute_what_was_trained(tiny_model, tmp_path):
    tuned = PeftTuning(**block("vera", r=R, **TWO))
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, tuned)
    disturb(model)
    plain = tuning.deployed(model, tuned, lambda: encoding.load_encoder(tiny_model), tmp_path)
    base = encoding.load_encoder(tiny_model)
    made, unmerged, before = (encoding.encode(each.eval(), TRIPLETS["anchor"], 512) for each in (plain, model, base))
    assert np.abs(made - unmerged).max() < 1e-5 < 1e-3 < np.abs(made - before).max()
    assert not tuning.said(plain)


def disturb(model) -> None:
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn_like(parameter)


@pytest.mark.parametrize("kind", ["one tower", "two towers"])
def test_what_peft_cannot_merge_is_deployed_unmerged_and_says_so(kind, tiny_model, triplets, tmp_path, monkeypatch):
    """The folder loads plainly, moved elsewhere too, with the adapter in layers of its own."""
    from peft.tuners.miss.layer import MissLinear
    from sentence_transformers import SentenceTransformer

    monkeypatch.setattr(MissLinear, "merge", lambda *given, **more: (_ for _ in ()).throw(NotImplementedError("no")))
    base = tiny_model if kind == "one tower" else plants.two_towers(tiny_model, tmp_path / "towers")
    log, folder = trained(base, block("miss", r=R, **TWO), triplets, tmp_path / "work")
    assert log["unmerged"] is True and json.loads((folder / "recipe.json").read_text())["adapter"] == "unmerged"
    here = encoding.encode(encoding.load_encoder(folder), TRIPLETS["anchor"], 512)
    shutil.copytree(folder, tmp_path / "elsewhere")
    shutil.rmtree(folder)
    plain = SentenceTransformer(str(tmp_path / "elsewhere"), device="cpu", local_files_only=True)
    assert np.abs(plain.encode_document(TRIPLETS["anchor"]) - here).max() < 1e-5
    assert all(body.model.peft_config for body in towers.bodies(plain).values())
    before = encoding.encode(encoding.load_encoder(base), TRIPLETS["anchor"], 512)
    assert np.abs(here - before).max() > 1e-4
    with pytest.raises(UserError, match="source: has an adapter that could not be merged"):
        fetch.fetch(f"folder:{tmp_path / 'elsewhere'}", tmp_path / "fetched")
    with pytest.raises(UserError, match="by a tuning that is merged into it"):
        weights = dict(encoding.load_encoder(base).named_parameters())
        interpolation.check(encoding.load_encoder(tmp_path / "elsewhere"), weights, Path("x"))


@pytest.mark.parametrize("architecture", ["cross-encoder", "late-interaction"])
def test_a_reranker_with_an_adapter_that_stays_loads_plainly_with_its_head(
    architecture, tiny_model, triplets, tmp_path, monkeypatch
):
    from peft.tuners.miss.layer import MissLinear

    monkeypatch.setattr(MissLinear, "merge", lambda *given, **more: (_ for _ in ()).throw(NotImplementedError("no")))
    training, kind, recipe = RERANKERS[architecture]
    base = planted_models.copied(tiny_model, tmp_path / "base", architecture)
    run = plants.seed_run(base, block("miss", r=R, **TWO), {"epochs": 1, **recipe}, triplets)
    loop.train(run, tmp_path / "work", training.prepare, training.deployed, kind.check_saved)
    assert json.loads((tmp_path / "work/finished.json").read_text())["unmerged"] is True
    assert kind.load(tmp_path / "work/model")[0].model.peft_config


def test_an_adapter_that_computes_something_else_when_it_is_loaded_stops_the_run(tiny_model, tmp_path):
    tuned = PeftTuning(**block("hra", r=R, **TWO))
    model = encoding.load_encoder(tiny_model)
    tuning.prepare(model, tuned)
    disturb(model)

    def other():
        base = encoding.load_encoder(tiny_model)
        disturb(base)
        return base

    with pytest.raises(
        UserError, match="method: peft's hra cannot be deployed: what is saved of it computes something"
    ):
        tuning.deployed(model, tuned, other, tmp_path / "adapter")


def test_the_same_seed_gives_the_same_bytes(tiny_model, triplets, tmp_path):
    for method, fields in {"vera": {"r": R}, "oft": {"oft_block_size": 4}}.items():
        works = [tmp_path / f"{method}{at}" for at in range(2)]
        made = [trained(tiny_model, block(method, **fields, **TWO), triplets, work)[1] for work in works]
        assert plants.contents(made[0]) == plants.contents(made[1])


SCHEDULED = {"init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 1, "total_step": 6, **TWO}


@pytest.mark.parametrize("method, fields", [("vera", {"r": R, **TWO}), ("adalora", SCHEDULED)])
def test_a_killed_run_ends_with_the_same_bytes(method, fields, tiny_model, triplets, tmp_path):
    """From its checkpoint, or anew where the method schedules its own layers."""

    class Killed(Exception):
        pass

    class Killing:
        def __init__(self, prepare) -> None:
            self.prepare = prepare

        def __call__(self, run, work):
            from transformers import TrainerCallback

            class Kill(TrainerCallback):
                def on_step_end(self, args, state, control, **kwargs):
                    if state.global_step == 5:
                        raise Killed

            prepared = self.prepare(run, work)
            prepared.trainer.add_callback(Kill())
            return prepared

    run = plants.seed_run(tiny_model, block(method, **fields), {"loss": IN_BATCH, "epochs": 3}, triplets)
    train = partial(loop.train, deployed=retriever.deployed, check=reloading.check)
    train(run, tmp_path / "whole", retriever.prepare)
    with pytest.raises(Killed):
        train(run, tmp_path / "part", Killing(retriever.prepare))
    assert loop.step_of(loop.last_checkpoint(tmp_path / "part")) == 4
    train(run, tmp_path / "part", retriever.prepare)
    assert plants.contents(tmp_path / "part/model") == plants.contents(tmp_path / "whole/model")
    cost = json.loads((tmp_path / "data/costs/train/x.seed-3.json").read_text())
    assert cost["resumed"] == (method == "vera")


def test_each_of_two_towers_has_its_own(tiny_model, triplets, tmp_path):
    base = plants.two_towers(tiny_model, tmp_path / "towers")
    log, folder = trained(base, block("vera", r=R, **TWO), triplets, tmp_path / "work")
    assert log["trainable"] == 2 * METHODS["vera"][1] and {"query", "document"} == {
        path.name for path in (folder / "adapter").iterdir()
    }


def test_dense_layers_are_trained_and_counted_with_it(tiny_model, triplets, tmp_path):
    base = planted_models.rebuilt(tiny_model, tmp_path / "base", "dense", "normalize")
    log, folder = trained(base, block("vera", r=R, dense=True, **TWO), triplets, tmp_path / "work")
    assert log["trainable"] == METHODS["vera"][1] + WIDTH * 24 + 24 and log["untouched"] == []
    dense = [encoding.load_encoder(each)[2].linear.weight.detach() for each in (folder, base)]
    assert not np.allclose(*dense)


def test_rerankers_train_it_with_their_head_or_projection(tiny_model, triplets, tmp_path):
    for architecture, (training, kind, recipe) in RERANKERS.items():
        base = planted_models.copied(tiny_model, tmp_path / architecture, architecture)
        run = plants.seed_run(base, block("vera", r=R, **TWO), {"epochs": 1, **recipe}, triplets)
        loop.train(run, tmp_path / f"{architecture}-work", training.prepare, training.deployed, kind.check_saved)
        log = json.loads((tmp_path / f"{architecture}-work/finished.json").read_text())
        head = WIDTH * WIDTH + WIDTH + WIDTH + 1 if architecture == "cross-encoder" else 0
        assert log["trainable"] >= METHODS["vera"][1] and (log["trainable"] - METHODS["vera"][1]) in (head, WIDTH + 1)


@pytest.mark.parametrize(
    "tuned, message",
    [
        (block("veera"), "method: peft has no veera; there are: adalora, "),
        (block("vera", rank=4), "rank: peft's vera has no such field; its fields are: bias, d_initial, "),
        (block("vera", r="4"), r"r: peft wants int, got '4' \(input should be a valid integer"),
        (block("vera", modules=["query"], r=2.5), r"r: peft wants int, got 2\.5"),
        (block("prefix_tuning", num_virtual_tokens=4), "method: peft's prefix_tuning changes no layers of an encoder"),
        (block("adaption_prompt"), "method: peft's adaption_prompt changes no layers of an encoder"),
        (block("adalora"), r"method: peft's adalora refuses these fields \(AdaLoRA does not work when `total_step`"),
        (block("vera", task_type="CAUSAL_LM"), "task_type: peft's vera has no such field"),
    ],
)
def test_what_peft_does_not_know_is_one_line_before_anything_runs(tuned, message):
    with pytest.raises(UserError, match=f"^{message}"):
        methods.configuration(PeftTuning(**tuned))


@pytest.mark.parametrize(
    "tuned, message",
    [
        (block("vera", modules=["qeury"]), "Please check `peft_config.target_modules`"),
        (block("hra", modules=["qeury"]), "Target modules .*qeury.* not found"),
        (block("poly"), "task_ids should not be None"),
        (block("c3a", block_size=7, **TWO), "The block size should be a factor of the input size"),
        (block("ln_tuning"), "specify `target_modules`"),
    ],
)
def test_a_method_that_does_not_fit_a_model_is_found_on_one_of_its_shape(tuned, message, tiny_model):
    config = json.loads((tiny_model / "config.json").read_text())
    with pytest.raises(UserError, match=f"^method: peft's {tuned['method']} does not fit this model .*{message}"):
        methods.rehearse(PeftTuning(**tuned), config)


def test_the_first_stage_names_the_key_of_params_yaml(tmp_path):
    def said(**fields) -> str:
        plants.write_params(tmp_path, small=block("vera", **fields))
        return plants.fails(check.main, "--data=data", "--training=training", "--out=checked").splitlines()[-1]

    assert said(rank=4).startswith("Error: small.rank: peft's vera has no such field; its fields are: bias,")
    assert "Error: small.method" not in said(rank=4)


def test_a_study_without_such_a_tuning_does_not_import_peft_to_check_it(tmp_path):
    from tests.conftest import run

    plants.write_params(tmp_path)
    program = (
        "import sys; from stages import check, params; [check._check_method(*each) for each in "
        "params.load().tunings.items()]; sys.exit('peft' in sys.modules)"
    )
    run(f'PYTHONPATH={code.ROOT} python -c "{program}"', tmp_path)
