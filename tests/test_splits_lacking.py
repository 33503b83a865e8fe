"""A corpus whose folder lacks splits that params.yaml names: one line says all that has to change."""

import json

import pytest

from stages import check, params
from stages.params import plans
from tests import plants


@pytest.fixture
def only_test(tmp_path, monkeypatch):
    """A folder with a test split alone, named in the study's place of the corpus in domain."""
    (tmp_path / "mine/qrels").mkdir(parents=True)
    (tmp_path / "mine/corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "ants"}) + "\n")
    (tmp_path / "mine/queries.jsonl").write_text(json.dumps({"_id": "q", "text": "who"}) + "\n")
    (tmp_path / "mine/qrels/held-out.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    monkeypatch.chdir(tmp_path)
    blocks = plants.blocks()
    blocks["corpora"]["in_domain"] = {**blocks["corpora"]["in_domain"], "source": "beir:mine", "shares": None}
    return blocks


def told(blocks: dict) -> str:
    plants.write_params(plants.Path("."), **blocks)
    line = plants.fails(check.main, "--data=data", "--training=training", "--out=checked").splitlines()[-1]
    return line.removeprefix("Error: ")


def test_one_line_says_all_of_it(only_test):
    line = told(only_test)
    assert line.startswith(
        "corpora.in_domain.source: beir:mine has no judgments of train and dev and test, but of held-"
    )
    for part in (
        "leave out train and say validation: 0",
        "corpora.in_domain.judged: {held-out: {}}",
        "report.in_domain.split: held-out",
        "umap.split: held-out",
        "remove it: pools bm25, base; triplets random, uniform, hard, one-rank; variants full-random, full-hard,",
    ):
        assert part in line


def test_a_study_that_does_so_is_checked(only_test):
    blocks = only_test
    blocks["corpora"]["in_domain"] = {"source": "beir:mine", "judged": {"held-out": {}}}
    assert "corpora.in_domain: has no train split; let what trains on it name another" in told(blocks)
    blocks["pools"] = blocks["interpolations"] = blocks["fusions"] = blocks["rerankers"] = {}
    blocks["triplets"] = {"none": blocks["triplets"]["none"]}
    blocks["retrievers"] = {name: blocks["retrievers"][name] for name in ("bm25", "base")}
    blocks["report"] = {**blocks["report"], "pairs": []}
    for target in (blocks["report"]["in_domain"], blocks["umap"]):
        target["split"] = "held-out"
    plants.write_params(plants.Path("."), **blocks)
    assert plants.succeeds(check.main, "--data=data", "--training=training", "--out=checked") == ""
    assert plans.for_splits(params.load(), "in_domain", ["held-out", "other"]) is None


def test_a_folder_inside_data_or_nowhere_is_told(only_test, tmp_path):
    for source, line in {
        "beir:nowhere": "there is no folder nowhere below",
        "hf:./nowhere": "there is no folder nowhere below",
        "hf:./data/x": "is in data/, which DVC fills and clears",
        "beir:mine/corpus.jsonl": "mine/corpus.jsonl: not a folder; unpack it, or name the folder that it is in",
    }.items():
        (tmp_path / "data/x").mkdir(parents=True, exist_ok=True)
        only_test["corpora"]["in_domain"]["source"] = source
        assert line in told(only_test)


def test_paths_of_an_experiment_begin_at_the_repository(only_test, tmp_path, monkeypatch):
    """DVC runs a queue in copies below .dvc/tmp/exps that hold what git tracks."""
    copy = tmp_path / "repository/.dvc/tmp/exps/standalone/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    only_test["corpora"]["in_domain"]["source"] = "beir:../mine"
    assert "has no judgments of train" in told(only_test)
    monkeypatch.setenv("HOME", str(tmp_path))
    only_test["corpora"]["in_domain"]["source"] = "beir:~/mine"
    assert "has no judgments of train" in told(only_test)


def test_an_unknown_home_is_no_traceback(only_test):
    only_test["corpora"]["in_domain"]["source"] = "beir:~nobody-here/mine"
    assert "there is no folder ~nobody-here/mine" in told(only_test)
