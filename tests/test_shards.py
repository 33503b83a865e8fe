"""Vectors shard by shard: the same bytes whoever encodes which shard, in what order and how often, after any kill."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import encode
from stages.collections import canonical
from stages.core import scratch
from stages.core.errors import UserError
from stages.models import encoding, shards
from stages.models.shards import Job, Shard
from stages.params.report import Index
from tests.conftest import ROOT
from tests.plants import fails, succeeds, write_params

INDEX = {"precision": "float32", "dtype": "float32", "batch_tokens": 64, "block": 7}
TEXTS = ["", "x", "the old boat " * 40, "a green house", "  padded  ", *(f"number {n} " * n for n in range(1, 29))]


def write_collection(folder: Path) -> Path:
    """33 passages in row groups of 10, and 9 queries: five shards of seven passages and two of queries."""
    (folder / "topics").mkdir(parents=True)
    docs = pa.table([[f"d{at}" for at in range(len(TEXTS))], TEXTS], schema=canonical.DOCS)
    pq.write_table(docs, folder / "docs.parquet", row_group_size=10)
    queries = [[f"q{at}" for at in range(9)], TEXTS[3:12], ["c"] * 9]
    pq.write_table(pa.table(queries, schema=canonical.TOPICS), folder / "topics/test.parquet")
    (folder / "docs.json").write_text(json.dumps({"documents": len(TEXTS)}))
    return folder


@pytest.fixture
def job(tiny_model, tmp_path) -> Job:
    (tmp_path / "work").mkdir()
    collection = write_collection(tmp_path / "things")
    return Job(tiny_model, collection, tmp_path / "work", Index(**INDEX), 1)


def finished(job: Job) -> dict[str, tuple[bytes, int]]:
    made = {file: shards.finish(job, file) for file in shards.files(job.collection)}
    return {file: (path.read_bytes(), cut) for file, (path, cut) in made.items()}


def elsewhere(job: Job, name: str, **changed: object) -> Job:
    work = job.work.with_name(name)
    work.mkdir()
    return replace(job, work=work, **changed)


def test_shards_hold_each_row_once_and_read_it_from_its_row_group(job):
    found = shards.of(job)
    assert found[0] == Shard("docs", 0, 0, 7) and found[-1] == Shard("topics/test", 1, 7, 9)
    for file, rows in shards.files(job.collection).items():
        whole = pq.read_table(job.collection / f"{file}.parquet")["text"].to_pylist()
        mine = [one for one in found if one.file == file]
        parts = [shards.texts(job.collection / f"{file}.parquet", one.start, one.stop) for one in mine]
        assert len(whole) == rows and [text for part in parts for text in part] == whole


def test_any_order_and_any_repetition_give_the_same_bytes(job):
    worker = shards.worker(job)
    for shard in shards.of(job):
        worker(shard)
    in_order = finished(job)
    other = elsewhere(job, "other")
    first, second = shards.worker(other), shards.worker(other)
    for at, shard in enumerate(reversed(shards.of(other))):
        (first, second)[at % 2](shard)
        if at % 3 == 0:
            shards._marker(other.work, shard).unlink()
            (second, first)[at % 2](shard)
    assert not shards.missing(other) and finished(other) == in_order
    vectors = np.load(job.work / "docs.npy")
    model = encoding.load_encoder(job.model)
    assert np.abs(vectors - model.encode(TEXTS, normalize_embeddings=True)).max() < 1e-6
    whole = [len(model.tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in TEXTS]
    assert in_order["docs"][1] == sum(length > 32 for length in whole) > 0
    before = (job.work / "docs.npy").stat().st_mtime_ns
    worker(shards.of(job)[0])  # what a killed run left behind comes late
    assert (job.work / "docs.npy").stat().st_mtime_ns == before


def test_a_killed_run_keeps_its_whole_shards(job, monkeypatch):
    worker, all_of_them = shards.worker(job), shards.of(job)
    for shard in all_of_them[:3]:
        worker(shard)
    monkeypatch.setattr(shards, "_write_durably", lambda *killed: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        worker(all_of_them[3])
    assert shards.missing(job) == all_of_them[3:]
    (job.work / "docs.part").unlink()  # markers without their vectors count for nothing
    assert shards.missing(job) == all_of_them


def test_vectors_of_half_precision(job):
    half = elsewhere(job, "half", index=job.index.model_copy(update={"dtype": "float16"}))
    for one in (job, half):
        worker = shards.worker(one)
        for shard in shards.of(one):
            worker(shard)
        finished(one)
    whole, rounded = np.load(job.work / "docs.npy"), np.load(half.work / "docs.npy")
    assert rounded.dtype == np.float16 and (rounded == whole.astype(np.float16)).all()


def test_one_kind_of_device_an_index(job):
    shards.worker(job)
    with pytest.raises(UserError, match=r"computed in float32 on .*, and this is bfloat16"):
        shards.worker(replace(job, index=job.index.model_copy(update={"precision": "bfloat16"})))


@pytest.fixture
def study(tmp_path, tiny_model, monkeypatch) -> tuple[str, ...]:
    """The command's arguments but --out, in a folder with params.yaml, a model of two seed runs and a collection."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, index=INDEX)
    write_collection(tmp_path / "things")
    for name in ("seed-13", "seed-14"):
        shutil.copytree(tiny_model, tmp_path / "models" / name)
        (tmp_path / "models" / name / "note.txt").write_text(name)  # work is told apart by the model's bytes
    return "base", "things", "--model", "models", "--collection", "things"


def index_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_portions_by_several_processes_and_then_the_stage_with_nothing_left_to_encode(study, tmp_path, monkeypatch):
    succeeds(encode.main, *study, "--out", "local")
    command = [sys.executable, "-m", "stages.encode", *study, "--out", "parts", "--shard"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen([*command, f"{k}/3"], env=environment) for k in (2, 0)]
    assert [process.wait() for process in started] == [0, 0]
    assert not Path("parts").exists()
    markers = sorted(path.name for path in Path(".scratch/encode").glob("*/docs.done/*"))
    assert markers == sorted(2 * ["000000", "000002", "000003"])
    with next(Path(".scratch/encode").glob("*.lock")).open() as lock:
        assert scratch._locked(lock)
    subprocess.run([*command, "1/3"], env=environment, check=True)
    monkeypatch.setattr(encoding, "load_encoder", lambda *nothing: pytest.fail("there is nothing left to encode"))
    succeeds(encode.main, *study, "--out", "parts")
    assert index_of(Path("parts")) == index_of(Path("local")) and len(index_of(Path("local"))) == 8
    assert not list(Path(".scratch/encode").iterdir())


def test_who_holds_all_of_a_workspace_and_who_shares_it_wait_for_each_other(study, monkeypatch):
    monkeypatch.setattr(scratch, "PATIENCE", 0.2)
    share, whole = scratch.shared, scratch.workspace
    with share("encode", "abc"), share("encode", "abc"), pytest.raises(UserError, match="another process is still"):
        whole("encode", "abc").__enter__()
    with whole("encode", "abc"), pytest.raises(UserError, match="another process is still"):
        share("encode", "abc").__enter__()


@pytest.mark.parametrize("said", ["3/3", "x", "1", "-1/2", "1/0"])
def test_a_portion_is_one_of_them(study, said):
    assert "say K/N" in fails(encode.main, *study, "--out", "parts", "--shard", said)


def test_a_portion_of_what_is_not_there_is_one_line(study, tmp_path):
    for folder in ("empty", "of-others/a"):
        (tmp_path / folder).mkdir(parents=True)
    variant, corpus, _, model, _, collection = study
    options = ["--out", "parts", "--shard", "0/2"]
    for name in ("empty", "of-others"):
        said = fails(
            encode.main, variant, corpus, "--model", str(tmp_path / name), "--collection", collection, *options
        )
        assert "not a variant's folder of models; name one that training wrote" in said
    said = fails(encode.main, variant, corpus, "--model", model, "--collection", str(tmp_path / "empty"), *options)
    assert "empty: not a downloaded corpus; name one in data/corpora" in said
    for path in Path(model).glob("*/architecture.json"):
        path.write_text('{"architecture": "lexical", "k1": 0.9, "b": 0.4}')
    assert "makes no vectors; dvc repro encode@" in fails(encode.main, *study, *options)
