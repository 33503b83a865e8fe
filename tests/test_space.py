"""Room on the disk is looked at before a long stage begins: a disk that is nearly full stops it in one line."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import download, encode, search
from stages.collections import sizes
from stages.core import space
from stages.core.errors import UserError
from stages.params.corpora import Corpus
from stages.retrieval import runs
from stages.training import weights
from tests import small_study

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def disk(monkeypatch):
    """Sets how many bytes the disk has free, beside those that are left alone."""

    def fill(free: float) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free + space.RESERVE))

    return fill


def test_what_fits_is_written_and_what_does_not_is_said_in_one_line(disk, tmp_path):
    target = tmp_path / "not" / "yet" / "there"
    disk(2e9)
    space.require(target, 2e9, "the vectors of things")
    with pytest.raises(UserError) as error:
        space.require(target, 2.1e9, "the vectors of things", "say index.dtype float16")
    assert str(error.value).startswith(
        f"{target}: 2.1 GB are needed for the vectors of things, and the disk has 2.1 GB free"
    )
    assert str(error.value).endswith("or say index.dtype float16") and "\n" not in str(error.value)


@pytest.fixture
def study(tiny_collection, tiny_model, tmp_path, monkeypatch) -> Path:
    """A folder with the params.yaml of the small study, and its collection downloaded."""
    monkeypatch.chdir(tmp_path)
    with open("params.yaml", "w") as handle:
        YAML().dump(small_study.params(tiny_collection, tiny_model), handle)
    download.main.callback("things", Path("things"))
    shutil.copytree(tiny_model, "models/pretrained")
    return tmp_path


def refused(command, *arguments, **named) -> str:
    with pytest.raises(UserError) as error:
        command.callback(*arguments, **named)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_stages_stop_before_they_compute(study, disk):
    """Each at one byte less than it asks for; nothing is left of what it would have written."""
    disk(100)
    assert "the passages as they are kept here" in refused(download.main, "things", Path("again"))
    vectors = (120 + 24 - 4 + 4 + 8 + 8) * 32 * 4
    arguments = {
        "variant": "base",
        "corpus": "things",
        "model": Path("models"),
        "collection": Path("things"),
        "shard": None,
    }
    disk(vectors - 1)
    assert "the vectors of things" in refused(encode.main, **arguments, out=Path("index"))
    disk(vectors)
    encode.main.callback(**arguments, out=Path("index"))
    searching = {"index": Path("index"), "collection": Path("things")}
    disk(runs.LINE * 16 * 200 - 1)
    assert "lower search.depth" in refused(search.rank, "base", "things", **searching, out=Path("run"))
    disk(runs.LINE * 20 * 200 - 1)
    assert "lower pools.base.depth" in refused(search.mine, "base", **searching, out=Path("pool.parquet"))
    assert not {"again", "run", "pool.parquet"} & {path.name for path in study.iterdir()}


def test_training_asks_for_the_model_and_two_checkpoints(disk, tmp_path):
    class Run:
        variant, seed = "full", 13

    disk(4 * 1000 + 2 * (4 * 1000 + 8 * 100))
    weights.require_space(Run, tmp_path, 100, 1000)
    with pytest.raises(UserError, match="the model full, seed 13, with two checkpoints"):
        weights.require_space(Run, tmp_path, 101, 1000)
    (tmp_path / "trainer/checkpoint-8").mkdir(parents=True)
    (tmp_path / "trainer/checkpoint-8/model.safetensors").write_bytes(bytes(16))
    weights.require_space(Run, tmp_path, 101, 1000)  # as one that was killed after a checkpoint goes on


def test_a_published_collection_is_known_without_the_network(disk, tmp_path, monkeypatch):
    """MS MARCO's passages: 8,841,823 of 55.98 words, fetched and kept, and once more as this study keeps them."""
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "nothing"))
    marco = Corpus(source="irds:msmarco-passage", train="train/judged", judged={"dev": {"subset": "dev/judged"}})
    told = sizes.published(marco)
    assert (told.passages, told.queries) == (8841823, {"train": 502939, "dev": 55578})
    size = told.passages * told.passage_words * sizes.BYTES * (1 + sizes.ARCHIVE + sizes.STORED)
    disk(size + 1)
    sizes.require_space(marco, tmp_path / "corpus")
    disk(size - 1)
    with pytest.raises(UserError, match=r"5\.5 GB are needed for the passages as they are kept here"):
        sizes.require_space(marco, tmp_path / "corpus")
    (tmp_path / "nothing/beir/scifact").mkdir(parents=True)
    (tmp_path / "nothing/beir/scifact/source.zip").touch()  # one set of BEIR is not another
    covid = Corpus(source="irds:beir/trec-covid", judged={"test": {"subset": ""}})
    told = sizes.published(covid)
    disk(told.passages * told.passage_words * sizes.BYTES * (1 + sizes.ARCHIVE + sizes.STORED) - 1)
    with pytest.raises(UserError, match="and as ir_datasets fetches them"):
        sizes.require_space(covid, tmp_path / "corpus")
    assert sizes.published(Corpus(source="irds:unheard-of", judged={"test": {}})) is None
    sizes.require_space(Corpus(source="docstrings:numpy", shares={"test": 100}, judged={"test": {}}), tmp_path)
