"""What dvc.lock and git say of a number is said of that number, and their absence is said too."""
import subprocess

import pytest

from stages.reporting.page import provenance

LOCK = """
schema: '2.0'
stages:
  download@home:
    deps: [{path: stages/download.py, md5: c0}]
    outs: [{path: data/corpora/in_domain, md5: aa11.dir, size: 5, nfiles: 1}]
  train@tuned:
    deps: [{path: stages/train.py, md5: c1}]
    outs:
    - {path: data/models/tuned, md5: bb22.dir, size: 7, nfiles: 2}
    - {path: reports/training/tuned.json, md5: bb23, size: 1}
  search@tuned-home:
    deps:
    - {path: data/corpora/in_domain/docs.parquet, md5: aa12}
    - {path: data/models/tuned, md5: bb22.dir}
    - {path: stages/search.py, md5: c2}
    outs: [{path: data/runs/tuned/home, md5: dd44.dir, size: 3, nfiles: 1}]
  evaluate:
    deps: [{path: data/runs, md5: ee55.dir}, {path: stages/evaluate.py, md5: c3}]
    outs: [{path: reports/results.json, md5: ff66, size: 2}]
  other:
    deps: [{path: stages/other.py, md5: c4}]
    outs: [{path: reports/other.json, md5: ff77, size: 2}]
"""
ENTRY = {"variant": "tuned", "corpus": "in_domain", "split": "test", "measure": "RR@10", "value": 0.5678912}


@pytest.fixture
def stages(tmp_path) -> dict:
    (tmp_path / "dvc.lock").write_text(LOCK)
    return provenance.recorded(tmp_path / "dvc.lock")


def test_the_lineage_goes_through_folders_and_leaves_strangers_out(stages):
    behind = provenance.lineage(stages, ["reports/results.json"])
    assert behind == ["download@home", "evaluate", "search@tuned-home", "train@tuned"]
    assert provenance.code(stages, behind) == ["params.yaml", "stages/download.py", "stages/evaluate.py",
                                               "stages/search.py", "stages/train.py"]
    assert provenance.lineage(stages, ["reports/results"]) == []


def test_a_number_has_its_run_model_data_and_command(stages, tmp_path):
    (tmp_path / "runs/tuned/home").mkdir(parents=True)
    (tmp_path / "runs/tuned/in_domain/run.parquet").write_text("abc")
    (tmp_path / "models/tuned").mkdir(parents=True)
    (tmp_path / "models/tuned/weights").write_text("longer than recorded")
    line, = provenance.numbers(stages, [ENTRY], tmp_path / "runs", tmp_path / "models", tmp_path / "corpora")
    assert line["value"] == "0.5679" and line["command"] == "dvc repro search@tuned-home evaluate"
    assert line["link"] == "from-tuned-home-test-RR@10"
    assert line["run"] == {"hash": "dd44.dir", "state": "as recorded"}
    assert line["model"] == {"hash": "bb22.dir", "state": "changed since"}
    assert line["data"] == {"hash": "aa11.dir", "state": "not here"}


def test_without_a_lock_there_is_no_hash_and_no_crash(tmp_path):
    stages = provenance.recorded(tmp_path / "dvc.lock")
    line, = provenance.numbers(stages, [ENTRY], tmp_path, tmp_path, tmp_path)
    assert stages == {} and line["run"] == {"hash": None, "state": "not in dvc.lock"}
    assert provenance.stage(stages, "cause", "causes")["known"] is False
    assert provenance.code(stages, provenance.lineage(stages, ["x"])) == ["params.yaml"]


def test_a_stage_names_its_inputs_without_code(stages):
    told = provenance.stage(stages, "evaluate", "the table")
    assert told["reads"] == [{"path": "data/runs", "hash": "ee55.dir"}] and told["command"] == "dvc repro evaluate"
    assert told["writes"] == [{"path": "reports/results.json", "hash": "ff66"}]


def test_the_commit_is_the_last_that_changed_the_code_and_changes_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit(["a.py"], tmp_path) == {"commit": None, "says": "no git here"}
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert provenance.commit(["a.py"], tmp_path)["commit"] is None
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("1")
        subprocess.run(["git", "add", name], cwd=tmp_path, check=True)
        subprocess.run([*git, "commit", "-qm", name], cwd=tmp_path, check=True)
    first, second = provenance.commit(["a.py"], tmp_path), provenance.commit(["a.py", "b.py"], tmp_path)
    assert len(first["commit"]) == 40 and first["commit"] != second["commit"] and first["says"] == first["commit"]
    (tmp_path / "a.py").write_text("2")
    assert provenance.commit(["a.py"], tmp_path)["says"] == first["commit"] + " with uncommitted changes"
    assert provenance.commit(["b.py"], tmp_path)["says"] == second["commit"]
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(["a.py"], tmp_path)["says"] == "no git here"
