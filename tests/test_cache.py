"""What makes a stage stale: the fingerprints that it depends on, before and after edits in a copy of the project."""

import shutil

import pytest

from tests.conftest import ROOT, copy_of_project, edit, run

ADDED = (r"\n(def |class )", r"\nOTHER = 1\n\n\n\1")
BEFORE_EVALUATE = ("download", "checkpoint", "triplets", "train", "interpolate", "encode", "mine", "search", "rerank")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_of_project(tmp_path_factory.mktemp("project"))
    shutil.copy(ROOT / "tests" / "study.yaml", folder / "params.yaml")
    run("git add -A && git commit -qm before --allow-empty", folder)
    return folder


def fingerprints(folder) -> dict[str, str]:
    """The files that the stage `code` writes, by name."""
    run("python -m stages.code --pipeline stages/pipeline.yaml --watched own --out data/code", folder)
    return {
        path.relative_to(folder / "data/code").as_posix(): path.read_text()
        for path in folder.glob("data/code/**/*.json")
    }


@pytest.fixture(scope="module")
def unchanged(project) -> dict[str, str]:
    """The fingerprints of the project as it is."""
    return fingerprints(project)


def changed_by(folder, before: dict[str, str], edits: dict[str, tuple[str, str]]) -> set[str]:
    """The stages whose fingerprint differs after some edits, each a pattern and what takes its place once."""
    edit(folder, edits)
    after = fingerprints(folder)
    run("git checkout -q . && git clean -fdq stages", folder)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_loss_makes_stale_only_what_names_it(project, unchanged):
    edits = {"stages/training/losses/contrastive.py": ADDED}
    assert changed_by(project, unchanged, edits) == set()
    edits = {"stages/training/losses/triplet.py": ADDED}
    stale = changed_by(project, unchanged, edits)
    assert stale and all(name.startswith("train/") for name in stale)
    assert "train/towers-random.json" not in stale and "train/full-hard.json" in stale


def test_a_reader_makes_stale_only_the_corpora_that_it_reads(project, unchanged):
    edits = {"stages/collections/readers/beir.py": ADDED}
    assert changed_by(project, unchanged, edits) == set()
    edits = {"stages/collections/readers/docstrings/__init__.py": ADDED}
    assert changed_by(project, unchanged, edits) == {"download/in_domain.json", "download/out_of_domain.json"}


def test_report_code_makes_only_reports_stale(project, unchanged):
    edits = {
        path.relative_to(project).as_posix(): (r"\A", "OTHER = 1\n")
        for path in (project / "stages/reporting").rglob("*.py")
        if "from __future__" not in path.read_text()
    }
    stale = changed_by(project, unchanged, edits)
    assert stale and not any(name.startswith(BEFORE_EVALUATE) for name in stale)


def test_a_default_in_the_code_is_seen(project, unchanged):
    edits = {"stages/params/variants.py": (r'"constant"\] = "linear"', '"constant"] = "cosine"')}
    stale = changed_by(project, unchanged, edits)
    assert {"train/full-hard.json", "train-reranker/late-random.json"} <= stale
    assert not any(name.startswith(("download", "encode", "search")) for name in stale)


def test_a_corpus_is_stale_when_its_files_change_and_not_when_others_do(project):
    mine = project / "own/mine"
    (mine / "qrels").mkdir(parents=True)
    texts = {"corpus.jsonl": '{"_id": "d", "text": "ants"}\n', "queries.jsonl": '{"_id": "q", "text": "who"}\n'}
    for name, text in {**texts, "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n"}.items():
        (mine / name).write_text(text)
    block = "  out_of_domain:\n    source: beir:own/mine\n"
    edit(project, {"params.yaml": (r"  out_of_domain:\n    source: .*\n    shares: .*\n", block)})
    before = fingerprints(project)
    (mine / "notes.txt").write_text("no part of it")
    assert fingerprints(project) == before
    (mine / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t2\n")
    after = fingerprints(project)
    run("git checkout -q .", project)
    assert [name for name in after if after[name] != before[name]] == ["download/out_of_domain.json"]
