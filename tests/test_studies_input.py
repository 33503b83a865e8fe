"""What the commands of studies/ and benchmarks/ make of collections, folders and options as people have them."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import size, speed
from stages.core.errors import UserError
from studies import clones, cut, precision, question_answering, rates
from tests import plants
from tests.conftest import ROOT, run


def collection(folder: Path) -> Path:
    """30 passages, plain; 8 queries with a relevant passage each, and another that was judged 0."""
    (folder / "qrels").mkdir(parents=True)
    docs = [{"_id": f"d{at}", "title": f"Title {at}", "text": f"text {at}"} for at in range(30)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    asked = [{"_id": f"q{at}", "text": f"what of {at}"} for at in range(8)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in asked))
    lines = [f"q{at}\td{at}\t1\nq{at}\td{at + 10}\t0\n" for at in range(8)]
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def cut_to(source: Path, target: Path, passages: int = 12, queries: int = 4) -> None:
    words = [str(source), str(target), "--passages", str(passages), "--queries", str(queries)]
    cut.main.main(words, standalone_mode=False)


def test_a_plain_collection_is_cut_and_what_was_judged_0_is_not_called_relevant(tmp_path, capsys):
    cut_to(collection(tmp_path / "whole"), tmp_path / "cut")
    assert "4 relevant passages of 12, 4 queries" in capsys.readouterr().out
    docs, queries = (
        {row["_id"]: row["text"] for row in map(json.loads, gzip.decompress(path.read_bytes()).splitlines())}
        for path in (tmp_path / "cut/corpus.jsonl.gz", tmp_path / "cut/queries.jsonl.gz")
    )
    rows = [line.split("\t") for line in (tmp_path / "cut/qrels/test.tsv").read_text().splitlines()[1:]]
    assert len(docs) == 12 and all(text == f"Title {name[1:]} text {name[1:]}" for name, text in docs.items())
    assert {query for query, _, _ in rows} == queries.keys() and {doc for _, doc, _ in rows} <= docs.keys()
    assert len(rows) == 8 and {grade for _, _, grade in rows} == {"0", "1"}


def test_a_cut_is_whole_or_not_there(tmp_path):
    source = collection(tmp_path / "whole")
    (source / "queries.jsonl").write_text("{\n")
    with pytest.raises(UserError, match=r"queries.jsonl:1: not valid JSON"):
        cut_to(source, tmp_path / "cut")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    plain = (source / "corpus.jsonl").read_text()
    (source / "corpus.jsonl").write_text(plain + json.dumps({"_id": "d3", "text": "another"}) + "\n")
    with pytest.raises(UserError, match=r"corpus.jsonl: passage id 'd3' appears twice, with different texts"):
        cut_to(source, tmp_path / "cut")
    (tmp_path / "cut").mkdir()
    with pytest.raises(UserError, match="cut: is there already"):
        cut_to(source, tmp_path / "cut")


def test_a_clone_that_was_stopped_keeps_no_committed_result(tmp_path, monkeypatch):
    for path in (".dvc/config", "dvc.lock", "reports/results.json", *(f"{given}/x.json" for given in clones.GIVEN)):
        (tmp_path / "whole" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "whole" / path).write_text("")
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path / "whole")
    run("git add -A && git commit -qm c", tmp_path / "whole")
    monkeypatch.chdir(tmp_path / "whole")
    real = subprocess.run

    def stopped(command, **how):
        if command[:2] == ["git", "rm"]:
            raise KeyboardInterrupt
        return real(command, **how)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(clones.subprocess, "run", stopped)
        clones.make(tmp_path / "clone", None)
    assert not (tmp_path / "clone").exists()
    clones.make(tmp_path / "clone", None)
    there = {path.relative_to(tmp_path / "clone").as_posix() for path in (tmp_path / "clone/reports").rglob("*.json")}
    assert there == {f"{given}/x.json" for given in clones.GIVEN} and not (tmp_path / "clone/dvc.lock").exists()
    assert not (tmp_path / ".clone.part").exists()


def test_a_clone_is_run_and_collected_by_its_own_code(tmp_path):
    """Its params.yaml is of its own commit, and today's code may want other keys."""
    told = "import os, sys; print(sys.argv[1:], os.environ['OMP_NUM_THREADS'], open('params.yaml').read())"
    for module in ("stages/reproduce.py", "studies/cause.py"):
        (tmp_path / module).parent.mkdir()
        (tmp_path / module).with_name("__init__.py").write_text("")
        (tmp_path / module).write_text(told if "stages" in module else f"{told}; sys.exit(3)")
    with open(tmp_path / "log", "w") as log:
        assert clones.reproduce(tmp_path, "seeds", ["evaluate"], 3, runs=1000, log=log)
        assert clones.reproduce(tmp_path, "other", runs=1000, log=log)
        assert not clones.collected(tmp_path, ["studies.cause", "collect"], log)
    words = (tmp_path / "log").read_text().splitlines()
    assert words[:2] == ["['evaluate', '--jobs', '3'] 1 seeds", "[] 1 other"] and words[2].endswith("other")


@pytest.mark.parametrize(("command", "words"), [(rates.main, ()), (precision.main, ()), (speed.main, ("encode",))])
def test_what_needs_a_finished_study_says_so(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(precision.precision, "native", lambda: "bfloat16")
    plants.write_params(tmp_path)
    assert "is not there; run dvc repro first" in plants.fails(command, *words)


def test_options_that_name_nothing_are_refused(tmp_path, monkeypatch):
    with pytest.raises(Exception, match="'foo' is not one of"):
        question_answering.main.main([str(tmp_path), "--precision", "foo"], standalone_mode=False)
    monkeypatch.chdir(ROOT)
    study = tmp_path / "study"
    for name in ("study", *size.MADE):
        (tmp_path / name).mkdir()
    (study / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    assert "--until tripletts: there is no such stage; there are: " in plants.fails(
        size.main, "run", tmp_path, "--until", "tripletts"
    )


def test_what_was_made_is_not_changed_under_a_study_and_a_run_says_what_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert "has no collection; make it first" in plants.fails(size.main, "run", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / size.PEAKS).write_text("[]")
    (tmp_path / "study").mkdir()
    assert "has a study of what was made before" in plants.fails(size.main, "make", tmp_path)
    (tmp_path / "study").rmdir()
    monkeypatch.setattr(size, "models", lambda folder: None)
    size.main.main(["make", str(tmp_path), "--passages", "4", "--queries", "2"], standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == ["collection"]
