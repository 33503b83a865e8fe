"""What dvc.lock and git say of a number is said of that number, and their absence is said too."""

import subprocess

import pytest

from stages.reporting.page import provenance
from stages.reporting.page.provenance import Commit, File, Output, Stages
from tests import plants
from tests.conftest import run

LOCK = """
schema: '2.0'
stages:
  check:
    cmd: python -m stages.check --out data/checked
    outs: [{path: data/checked, md5: a0}]
  code:
    cmd: python -m stages.code --out data/code
    deps: [{path: stages, md5: a1.dir}]
    outs: [{path: data/code, md5: a2.dir}]
  download@in_domain:
    cmd: python -m stages.download in_domain --out data/corpora/in_domain
    deps: [{path: data/checked, md5: a0}, {path: data/code/download/in_domain.json, md5: c0}]
    outs: [{path: data/corpora/in_domain, md5: aa11.dir, size: 5, nfiles: 1}]
  train@full-hard:
    cmd: python -m stages.train full-hard
    deps: [{path: data/code/train/full-hard.json, md5: c1}]
    outs:
    - {path: data/models/full-hard, md5: bb22.dir, size: 7, nfiles: 2}
    - {path: reports/training/full-hard.json, md5: bb23, size: 1}
  search@full-hard-in_domain:
    cmd: python -m stages.search rank full-hard in_domain
    deps:
    - {path: data/corpora/in_domain/docs.parquet, md5: aa12}
    - {path: data/models/full-hard, md5: bb22.dir}
    - {path: data/code/search/full-hard-in_domain.json, md5: c2}
    outs: [{path: data/runs/full-hard/in_domain, md5: dd44.dir, size: 3, nfiles: 1}]
  rerank@late-random:
    cmd: python -m stages.rerank late-random
    deps: [{path: data/runs/full-hard, md5: dd45.dir}]
    outs: [{path: data/runs/late-random, md5: ee11.dir, size: 2, nfiles: 1}]
  fuse@hybrid:
    cmd: python -m stages.fuse hybrid
    deps: [{path: data/runs/full-hard, md5: dd45.dir}]
    outs: [{path: data/runs/hybrid, md5: ee22.dir, size: 2, nfiles: 1}]
  evaluate:
    cmd: python -m stages.evaluate
    deps: [{path: data/runs, md5: ee55.dir}, {path: data/code/evaluate.json, md5: c3}]
    outs: [{path: reports/results.json, md5: ff66, size: 2}]
  other:
    cmd: python -m stages.diagnose
    outs: [{path: reports/other.json, md5: ff77, size: 2}]
"""


@pytest.fixture
def stages(tmp_path) -> Stages:
    (tmp_path / "dvc.lock").write_text(LOCK)
    return provenance.recorded(tmp_path / "dvc.lock")


def test_the_lineage_goes_through_folders_and_leaves_out_strangers_checks_and_code(stages):
    behind = provenance.lineage(stages, ["reports/results.json"])
    names = [
        "download@in_domain",
        "evaluate",
        "fuse@hybrid",
        "rerank@late-random",
        "search@full-hard-in_domain",
        "train@full-hard",
    ]
    assert behind == names
    assert provenance.lineage(stages, ["reports/results"]) == []


def test_the_sources_are_what_the_commands_of_the_lineage_import(stages):
    sources = provenance.sources(stages, provenance.lineage(stages, ["reports/results.json"]))
    assert {"params.yaml", "stages/search.py", "stages/evaluate.py", "stages/evaluation/significance.py"} <= set(
        sources
    )
    assert not {"stages/diagnose.py", "stages/analysis/geometry.py", "stages/code.py"} & set(sources)
    assert sources == sorted(sources)


def test_a_number_has_its_run_model_and_data(stages, tmp_path):
    (tmp_path / "runs/full-hard/in_domain").mkdir(parents=True)
    (tmp_path / "runs/full-hard/in_domain/run.parquet").write_text("abc")
    (tmp_path / "models/full-hard").mkdir(parents=True)
    (tmp_path / "models/full-hard/weights").write_text("longer than recorded")
    (tmp_path / "runs/late-random").mkdir(parents=True)
    (tmp_path / "runs/late-random/run.parquet").write_text("ab")
    results = [plants.result(name, plants.comparison()) for name in ("full-hard", "late-random", "hybrid")]
    folders = (tmp_path / name for name in ("runs", "models", "corpora"))
    trained, reranked, fused = provenance.numbers(stages, results, *folders)
    assert trained.result == results[0] and trained.link == "from-full-hard-in_domain-test-RR@10"
    assert trained.run == Output("dd44.dir", "as recorded")
    assert trained.model == Output("bb22.dir", "changed since")
    assert trained.data == Output("aa11.dir", "not here")
    assert reranked.run == Output("ee11.dir", "as recorded")  # of all corpora together
    assert fused.run == Output("ee22.dir", "not here") and fused.model == provenance.OF_OTHERS


def test_without_a_lock_there_is_no_hash_and_no_crash(tmp_path):
    stages = provenance.recorded(tmp_path / "dvc.lock")
    number, *_ = provenance.numbers(stages, [plants.result("base")], tmp_path, tmp_path, tmp_path)
    assert stages == {} and number.run == Output(None, "not in dvc.lock")
    assert provenance.stage(stages, "cause").known is False
    assert provenance.sources(stages, provenance.lineage(stages, ["x"])) == ["params.yaml"]


def test_a_stage_names_its_inputs_without_code(stages):
    stage = provenance.stage(stages, "evaluate")
    assert stage.reads == [File("data/runs", "ee55.dir")] and stage.command == "dvc repro evaluate"
    assert stage.writes == [File("reports/results.json", "ff66")]


def test_the_commit_is_the_last_that_changed_the_code_and_changes_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit(["a.py"], tmp_path) == Commit(None, "no git here")
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path)
    assert provenance.commit(["a.py"], tmp_path).commit is None
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("1")
        subprocess.run(["git", "add", name], cwd=tmp_path, check=True)
        subprocess.run(["git", "commit", "-qm", name], cwd=tmp_path, check=True)
    first, second = provenance.commit(["a.py"], tmp_path), provenance.commit(["a.py", "b.py"], tmp_path)
    assert len(first.commit) == 40 and first.commit != second.commit and first.says == first.commit
    (tmp_path / "a.py").write_text("2")
    assert provenance.commit(["a.py"], tmp_path).says == f"{first.commit} with uncommitted changes"
    assert provenance.commit(["b.py"], tmp_path).says == second.commit
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(["a.py"], tmp_path).says == "no git here"
