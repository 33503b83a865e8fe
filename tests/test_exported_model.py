"""An exported model is loaded by a new process and scores as its run, or it is not there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages.collections import canonical
from stages.core.errors import UserError
from stages.evaluation import results
from stages.models import cross_encoder, encoding, late_interaction
from stages.reporting import exported_model
from stages.retrieval import runs
from tests import planted_models, plants
from tests.conftest import ROOT, STUDY
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN
from tests.test_export import LOG, invoke, study  # noqa: F401

RUN = Path("data/runs")
MODELS = {
    "base": "symmetric",
    "full-hard": "symmetric",
    "full-random-mix": "symmetric",
    "late-random": "late-interaction",
    "cross-lion": "cross-encoder",
}


def scored(folder: Path, architecture: str, queries: list[str], passages: list[str], **cut) -> np.ndarray:
    """The scores (queries, passages) by the study's code."""
    pairs = [(query, text) for query in queries for text in passages]
    asked, known = map(list, zip(*pairs, strict=True))
    if architecture == "symmetric":
        model = encoding.load_encoder(folder)
        if cut:
            model.max_seq_length = cut["tokens"]
        sides = encoding.encode(model, queries, 512, role="query"), encoding.encode(model, passages, 512)
        return sides[0] @ sides[1].T
    kind = {"late-interaction": late_interaction, "cross-encoder": cross_encoder}[architecture]
    return kind.score(kind.load(folder), asked, known, 512).reshape(len(queries), -1)


def write_run(folder: Path, variant: str, seed_run: str, scores: np.ndarray, depth: int = 12) -> Path:
    lines = []
    for query, line in enumerate(scores):
        order = np.argsort(-line, kind="stable")[:depth]
        lines += [(f"q{query}", f"d{at}", float(line[at])) for at in order]
    path = folder / RUN / variant / IN_DOMAIN.corpus / seed_run / f"{IN_DOMAIN.split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write([pa.table([list(column) for column in zip(*lines, strict=True)], schema=runs.RUN)], path)
    return path


@pytest.fixture
def world(study, tiny_model) -> Path:  # noqa: F811
    """That study with a collection, and models of each architecture with the runs that they make on it."""
    corpus = study / "data/corpora" / IN_DOMAIN.corpus
    shutil.rmtree(corpus)
    shutil.rmtree(study / RUN)
    plants.write_corpus(corpus, 30, 20, IN_DOMAIN.split)
    passages = [f"passage number {at}" for at in range(30)]
    queries = [f"what is number {at}" for at in range(20)]
    for variant, architecture in MODELS.items():
        seed_run = "pretrained" if variant == "base" else "seed-13"
        folder = study / "data/models" / variant / seed_run
        folder.parent.mkdir(parents=True)
        planted(tiny_model, folder, architecture)
        write_run(study, variant, seed_run, scored(folder, architecture, queries, passages))
        (study / RUN / variant / "computed.json").write_text('{"precision": "float32"}')
    one = plants.comparison(0.05, verdict="better")
    found = list(results.read(study / "reports/results.json"))
    found += [plants.result("full-random-mix", one, target) for target in (IN_DOMAIN, OUT_OF_DOMAIN)]
    (study / "reports/results.json").write_text(results.as_json(found))
    between = [{"seed_run": "seed-13", "alpha": 0.5, "RR@10": {"0.0": 0.1, "0.5": 0.3}}]
    stored = {"variant": "full-random-mix", "seed_runs": [], "between": between}
    (study / "reports/training/full-random-mix.json").write_text(json.dumps(stored))
    assert LOG and STUDY.rerank.depth
    return study


def planted(tiny_model: Path, folder: Path, architecture: str) -> None:
    if architecture != "cross-encoder":
        planted_models.copied(tiny_model, folder, architecture)
        return
    base = planted_models.copied(tiny_model, folder.with_name("body"), architecture)
    cross_encoder.load(base, 3).save_pretrained(str(folder), create_model_card=False)
    shutil.copy(base / "architecture.json", folder)
    shutil.rmtree(base)


@pytest.mark.parametrize("variant", MODELS)
def test_a_model_of_every_architecture_is_written_with_its_card_and_scores_as_its_run(variant, world):
    done = invoke("model", variant, "--out", "out/model")
    assert done.exit_code == 0, done.output
    line, last = done.output.splitlines()
    assert line.startswith(
        f"torch, loaded by a new process: 16 queries of {IN_DOMAIN.corpus} {IN_DOMAIN.split} with 10"
    )
    assert line.endswith("the order is the run's for 16 of 16 queries") and "(allowed 1e-04)" in line
    assert last == f"out/model: {variant}, {'pretrained' if variant == 'base' else 'seed-13'}"
    card = (world / "out/model/README.md").read_text()
    assert "## How to load it" in card and "## Results" in card
    assert ("alpha" in card and "0.5 x" in card) == (variant == "full-random-mix")
    assert [path.name for path in (world / "out").iterdir()] == ["model"]


def test_nothing_is_overwritten_and_what_has_no_model_says_what_to_do(world):
    (world / "there").mkdir()
    for words, said in {
        ("full-hard", "--out", "there"): "--out there: is there already; name a folder that is not",
        ("bm25", "--out", "x"): "bm25: is lexical and has no model; its runs are exported by: export run",
        ("hybrid", "--out", "x"): "hybrid: has no model of its own; export those of bm25 and base",
        ("lora-hard", "--out", "x"): "data/models/lora-hard: is not here; run dvc pull data/models/lora-hard or dvc",
        ("full-hard", "--seed-run", "seed-2", "--out", "x"): "full-hard: has no seed run 'seed-2'; say --seed-run with",
        ("full-hard", "--out", "data/x"): "--out data/x: what is in data/ is DVC's",
    }.items():
        done = invoke("model", *words)
        assert done.exit_code == 1 and said in done.output and not (world / "x").exists()


def refused(folder: Path, said: str) -> None:
    done = invoke("model", "full-hard", "--out", "out")
    assert done.exit_code == 1 and said in done.output and not list(folder.glob("*out*")), done.output


def test_a_model_that_does_not_score_as_its_run_is_not_written(world, tiny_model):
    """Neither one of other weights, within a run's own precision, nor a folder that loads as something else."""
    rng = np.random.default_rng(1)
    other = write_run(world, "full-hard", "seed-13", rng.random((20, 30)))
    refused(world, "away from the run, and 2.0e-04 is allowed; it is not written")
    other.unlink()
    refused(world, "data/runs/full-hard: no run of seed-13 is here with its collection")


def test_a_folder_that_loads_as_something_else_is_not_written(world, monkeypatch):
    """Here its pooling changes on the way: a tolerance for a run in half precision does not hide it."""
    (world / RUN / "full-hard/computed.json").write_text('{"precision": "bfloat16"}')
    whole = exported_model.copy

    def changed(model: Path, folder: Path, caps: canonical.Caps) -> None:
        whole(model, folder, caps)
        said = json.loads((folder / "1_Pooling/config.json").read_text())
        (folder / "1_Pooling/config.json").write_text(json.dumps({**said, "pooling_mode": "cls"}))

    monkeypatch.setattr(exported_model, "copy", changed)
    refused(world, "of the largest score away from the model here, and 1.0e-04 is allowed; it is not written")


def test_where_the_collection_cuts_texts_the_model_cuts_them_too(world):
    folder = world / "data/models/full-hard/seed-13"
    corpus = world / "data/corpora" / IN_DOMAIN.corpus
    (corpus / "docs.json").write_text(json.dumps({"documents": 30, "tokens": 4}))
    passages, queries = (
        [f"{words} {at}" for at in range(n)] for words, n in (("passage number", 30), ("what is number", 20))
    )
    write_run(world, "full-hard", "seed-13", scored(folder, "symmetric", queries, passages, tokens=4))
    done = invoke("model", "full-hard", "--out", "out/model")
    assert done.exit_code == 0, done.output
    assert encoding.load_encoder(world / "out/model").max_seq_length == 4


def test_the_exported_folder_needs_nothing_of_this_study(world, tmp_path_factory):
    assert invoke("model", "full-hard", "--out", "out/model").exit_code == 0
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "m"
    shutil.move(world / "out/model", elsewhere)
    program = (
        "import sys; from sentence_transformers import SentenceTransformer as S; m = S(sys.argv[1], device='cpu'); "
        "print(m.encode_query(['a']).shape, 'stages' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(elsewhere)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=elsewhere.parent, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "(1, 32) False", done.stderr


def test_an_export_without_its_library_is_one_line_before_anything_is_written(world):
    for backend, (module, _) in exported_model.BACKENDS.items():
        try:
            exported_model.check_backend(backend, sys.executable)
        except UserError as error:
            assert str(error.message).startswith(f"--{backend}: sentence-transformers exports with {module}, which")
            done = invoke("model", "full-hard", "--out", "out", f"--{backend}")
            assert done.exit_code == 1 and error.message in done.output and not (world / "out").exists()


@pytest.mark.parametrize("backend", exported_model.BACKENDS)
@pytest.mark.parametrize("variant", ["full-hard", "cross-lion"])
def test_what_the_library_exports_is_loaded_by_a_new_process_and_compared_too(variant, backend, world):
    """With the environment that EXPORTING names, where there is one that can."""
    python = os.environ.get("EXPORTING", sys.executable)
    try:
        exported_model.check_backend(backend, python)
    except UserError as error:
        pytest.skip(error.message)
    done = invoke("model", variant, "--out", "out", f"--{backend}", "--python", python)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1].startswith(f"{backend}, loaded by a new process: 16 queries")
    assert (world / "out" / backend).is_dir() and (world / "out/model.safetensors").is_file()


def test_the_optional_requirements_are_named_in_the_docs():
    assert (ROOT / "requirements-onnx.txt").is_file()
    assert "requirements-onnx.txt" in (ROOT / "docs/exports.md").read_text()
