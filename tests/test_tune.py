"""The verb tune on a tiny model: its sample, its trials, a kill, and what train_tuned makes of the chosen setting."""

import json
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import TypeAdapter

from stages import params, train_tuned, tune
from stages.collections import canonical
from stages.models import encoding, interpolation
from stages.negatives import search_sample
from stages.params.searches import setting
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe
from stages.training import searched, validation
from tests.conftest import ROOT, environment
from tests.plants import blocks, contents, succeeds, write_corpus, write_params

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small", "new") for noun in ("boat", "house", "clock", "river")]
RECIPE = {
    "loss": {"kind": "in-batch", "scale": 20.0, "hard_negatives": True},
    "batch": 4,
    "epochs": 2,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "clip": 1.0,
}
NAMES = {"checkpoint": "minilm", "tuning": "full", "triplets": "random", "recipe": "short"}
SPACE = {"tuning": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}, "alpha": [0.5, 1.0]}
SEARCH = {"variant": "tuned", "corpus": "in_domain", "space": SPACE, "trials": 6, "seed": 1, "top": 3, "random": 4}
PASSAGES, QUERIES = 40, 10


def command(folder, out):
    index = folder / "indexes/base/in_domain"
    named = {"--triplets": folder / "triplets/seed-1.parquet", "--collection": folder / "corpus", "--index": index}
    options = {"--checkpoint": folder / "checkpoint", **named, "--out": out}
    return ["found", *(str(word) for pair in options.items() for word in pair)]


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    """A folder with params.yaml, a corpus with validation queries, an index of it, and triplets of two seeds."""
    folder = tmp_path_factory.mktemp("searching")
    shutil.copytree(tiny_model, folder / "checkpoint")
    none = {"tuning": "none", "triplets": "none", "recipe": "none"}
    write_params(
        folder,
        seeds=[1, 2],
        retrievers={
            "bm25": {"checkpoint": "bm25", **none},
            "base": {"checkpoint": "minilm", **none},
            "tuned": NAMES,
        },
        interpolations={},
        fusions={},
        rerankers={},
        recipes={"none": {}, "short": RECIPE},
        report={**blocks()["report"], "pairs": []},
        validation_curve={"queries": 1, "passages": 1, "every": 2, "early": []},
        searches={"found": {**NAMES, **SEARCH}},
    )
    write_corpus(folder / "corpus", PASSAGES, QUERIES, "validation")
    vectors = folder / "indexes/base/in_domain/pretrained"
    (vectors / "topics").mkdir(parents=True)
    rng = np.random.default_rng(3)
    np.save(vectors / "docs.npy", rng.normal(size=(PASSAGES, 8)).astype(np.float32))
    np.save(vectors / "topics/validation.npy", rng.normal(size=(QUERIES, 8)).astype(np.float32))
    (folder / "triplets").mkdir()
    triplets = {"anchor": TEXTS, "positive": TEXTS[5:] + TEXTS[:5], "negative": TEXTS[3:] + TEXTS[:3]}
    for seed in (1, 2):
        pq.write_table(pa.table(triplets), folder / f"triplets/seed-{seed}.parquet")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """The folder after a search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        succeeds(tune.main, *command(folder, "found"))
    return folder / "found"


def test_the_sample_holds_what_is_relevant_the_ranks_of_the_base_and_a_share_of_the_rest(folder, tmp_path):
    index = folder / "indexes/base/in_domain/pretrained"
    search_sample.write(folder / "corpus", index, 3, 4, 7, False, tmp_path / "sample")
    queries = pq.read_table(tmp_path / "sample/queries.parquet").to_pydict()
    passages = pq.read_table(tmp_path / "sample/passages.parquet").to_pydict()
    scores = np.load(index / "topics/validation.npy") @ np.load(index / "docs.npy").T
    wanted = {f"d{at}" for at in np.argsort(-scores, axis=1)[:, :3].ravel()} | {f"d{at}" for at in range(QUERIES)}
    assert queries["query_id"] == [f"q{at}" for at in range(QUERIES)]
    assert queries["relevant"] == [[f"d{at}"] for at in range(QUERIES)]
    assert wanted < {*passages["doc_id"]} and len(passages["doc_id"]) == len(wanted) + 4
    assert passages["doc_id"] == sorted(passages["doc_id"], reverse=True)
    assert passages["text"] == [f"passage number {doc[1:]}" for doc in passages["doc_id"]]


def test_where_queries_are_passages_none_competes_with_itself(folder, tmp_path):
    corpus = shutil.copytree(folder / "corpus", tmp_path / "corpus")
    docs = pq.read_table(corpus / "docs.parquet").to_pydict()
    docs["doc_id"][20:30] = [f"q{at}" for at in range(10)]  # q0 to q9
    pq.write_table(pa.table(docs), corpus / "docs.parquet")
    index = folder / "indexes/base/in_domain/pretrained"
    for drop_self, there in ((True, set()), (False, {f"q{at}" for at in range(10)})):
        search_sample.write(corpus, index, 3, PASSAGES, 7, drop_self, tmp_path / f"{drop_self}")
        passages = pq.read_table(tmp_path / f"{drop_self}/passages.parquet")["doc_id"].to_pylist()
        assert {doc for doc in passages if doc[0] == "q"} == there
    assert canonical.doc_ids(corpus)[20].as_py() == "q0"


def test_a_search_that_is_killed_at_any_time_goes_on_to_the_same_bytes(folder, found, monkeypatch):
    """By SIGKILL in a process of its own, after a trial and again within one."""
    monkeypatch.chdir(folder)
    words = ["python", "-m", "stages.tune", *command(folder, "again")]
    program = shutil.which("python", path=environment()["PATH"])
    for trial in (1, 3):
        process = subprocess.Popen(
            words, executable=program, cwd=folder, env=environment(PYTHONPATH=str(ROOT)), stdout=subprocess.DEVNULL
        )
        deadline = time.time() + 300
        while not any(folder.glob(f".scratch/tune/*/trial-{trial}")):
            assert time.time() < deadline and process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "again").exists()
    succeeds(tune.main, *command(folder, "again"))
    assert contents(folder / "again") == contents(found)
    assert not any(folder.glob(".scratch/tune/*/*"))


def test_a_trial_is_the_variant_trained_with_its_values(folder, found, tmp_path, monkeypatch):
    """The value of the best whole trial, measured anew on a model that train_tuned made of the same values."""
    monkeypatch.chdir(folder)
    record = json.loads((found / "trials.json").read_text())
    index = folder / "indexes/base/in_domain/pretrained"
    search_sample.write(folder / "corpus", index, 3, 4, 65536, False, tmp_path / "sample")
    sample = validation.read_sample(tmp_path / "sample")
    assert record["sample"] == {"queries": QUERIES, "passages": len(sample.passages)} and record["own"] == 0
    assert record["trials"][0]["params"] == {"tuning.lr": 0.0001, "alpha": 1.0}
    models = made(folder, found, tmp_path / "models")
    whole = [trial for trial in record["trials"] if trial["value"] is not None]
    assert record["trials"][record["chosen"]]["value"] == max(trial["value"] for trial in whole)
    model = encoding.load_encoder(models / "seed-1")
    assert round(validation.reciprocal_rank(model, sample), 6) == record["trials"][record["chosen"]]["value"]
    log = json.loads((folder / "log.json").read_text())
    assert log["search"] == record and [run["seed"] for run in log["seed_runs"]] == [1, 2]


def test_a_trial_that_was_measured_when_it_was_killed_is_not_trained_or_measured_again(folder, tmp_path, monkeypatch):
    """Its model is gone then, and the journal does not know of it yet."""
    monkeypatch.chdir(folder)
    index = folder / "indexes/base/in_domain/pretrained"
    search_sample.write(folder / "corpus", index, 3, 4, 7, False, tmp_path / "validation")
    shutil.copy(folder / "triplets/seed-1.parquet", tmp_path)
    first = searched.first_setting(params.load(), "found", folder / "checkpoint", tmp_path)
    values = {"tuning.lr": 0.001, "alpha": 0.5}
    outcomes = [searched.try_setting(first, tmp_path, 0, values, lambda curve: False) for _ in range(2)]
    assert outcomes[0] == outcomes[1] and outcomes[0].value is not None
    assert not (tmp_path / "trial-0/model").exists()


def made(folder, search, out):
    shutil.copytree(folder / "triplets", folder / "all", dirs_exist_ok=True)
    named = {"--checkpoint": folder / "checkpoint", "--triplets": folder / "all", "--search": search, "--out": out}
    succeeds(train_tuned.main, "found", *(word for pair in named.items() for word in pair), "--log", "log.json")
    return out


def test_alpha_moves_the_chosen_model_back_towards_its_base(folder, found, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    chosen = json.loads((found / "chosen.json").read_text())
    weights = {}
    for alpha in (1.0, 0.25):
        (tmp_path / f"{alpha}").mkdir()
        (tmp_path / f"{alpha}/chosen.json").write_text(json.dumps({**chosen, "alpha": alpha}))
        shutil.copy(found / "trials.json", tmp_path / f"{alpha}")
        out = made(folder, tmp_path / f"{alpha}", tmp_path / f"models-{alpha}") / "seed-2"
        weights[alpha] = interpolation.weights(encoding.load_encoder(out))
        record = json.loads((out / "recipe.json").read_text())
        assert record.get("alpha", 1.0) == alpha and record["tuning"]["lr"] == chosen["tuning"]["lr"]
    base = interpolation.weights(encoding.load_encoder(folder / "checkpoint"))
    for name, values in base.items():
        assert torch.allclose(weights[0.25][name], torch.lerp(values, weights[1.0][name], 0.25), atol=1e-7)
    assert any(not torch.equal(values, weights[0.25][name]) for name, values in base.items())


def test_values_take_their_places_and_nothing_else_changes():
    tuning = TypeAdapter(FineTuning).validate_python({"kind": "full", "lr": 0.1})
    recipe = Recipe.model_validate(RECIPE)
    tried, with_values, alpha = setting(tuning, recipe, {"tuning.lr": 0.01, "recipe.loss.scale": 5.0, "alpha": 0.5})
    assert (tried.lr, with_values.loss.scale, alpha) == (0.01, 5.0, 0.5)
    assert tried.model_copy(update={"lr": 0.1}) == tuning
    assert with_values.model_copy(update={"loss": recipe.loss}) == recipe
    assert setting(tuning, recipe, {}) == (tuning, recipe, 1.0)
