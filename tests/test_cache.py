"""What makes a stage stale, asked of DVC in a copy of the project: what code computes, and no words."""

import re

import pytest

from tests.conftest import copy_of_project, run

BEFORE_EVALUATE = ("download", "checkpoint", "triplets", "train", "interpolate", "encode", "mine", "search", "rerank")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy whose lock says that everything is up to date, though nothing was run."""
    folder = copy_of_project(tmp_path_factory.mktemp("project"))
    run("dvc init -q -f --no-scm || true", folder, check=False)
    run("dvc repro -q check code", folder)
    run("git add -A && git commit -qm before", folder)
    return folder


def code_files(folder) -> dict[str, str]:
    return {
        path.relative_to(folder / "data/code").as_posix(): path.read_text()
        for path in (folder / "data/code").rglob("*.json")
    }


def changed_by(folder, edits: dict[str, tuple[str, str]]) -> set[str]:
    """The stages whose data/code file differs once DVC has brought `code` up to date after some edits."""
    before = code_files(folder)
    for name, (old, new) in edits.items():
        text = (folder / name).read_text()
        assert re.search(old, text), f"{name} has no {old}"
        (folder / name).write_text(re.sub(old, new, text, count=1))
    run("dvc repro -q check code", folder)
    after = code_files(folder)
    run("git checkout -q . && git clean -fdq stages && dvc checkout -q data/code data/checked", folder, check=False)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_words_make_no_stage_stale(project):
    """A docstring, an error, a help text, a validation rule, a comment, a printed line, in ten places."""
    edits = {
        "stages/core/files.py": ("the disk is full", "no space is left"),
        "stages/core/errors.py": ('"""[^"]+"""', '"""Other words."""'),
        "stages/params/checks.py": ("stands twice", "is there two times"),
        "stages/params/corpora.py": ("shares must add up to 100 per cent", "shares add up to 100"),
        "stages/encode.py": ('"""[^"]+"""', '"""Other words."""'),
        "stages/train.py": ('help="', 'help="Other words: '),
        "stages/models/encoding.py": ('"""[^"]+"""', '"""Other words."""'),
        "stages/negatives/draw.py": ('"""[^"]+"""', '"""Other words."""'),
        "stages/collections/readers/beir.py": (r"raise UserError\(f?\"", 'raise UserError("Other words: " f"'),
        "stages/search.py": (r"\n@click", "\n# Other words.\n@click"),
    }
    assert changed_by(project, edits) == set()


def test_a_loss_makes_stale_only_what_names_it(project):
    edit = {"stages/training/losses/contrastive.py": (r"\n(def |class )", r"\nOTHER = 1\n\n\n\1")}
    assert changed_by(project, edit) == set()
    edit = {"stages/training/losses/triplet.py": (r"\n(def |class )", r"\nOTHER = 1\n\n\n\1")}
    stale = changed_by(project, edit)
    assert stale and all(name.startswith("train/") for name in stale)
    assert "train/towers-random.json" not in stale and "train/full-hard.json" in stale


def test_a_reader_makes_stale_only_the_corpora_that_it_reads(project):
    edit = {"stages/collections/readers/beir.py": (r"\n(def |class )", r"\nOTHER = 1\n\n\n\1")}
    assert changed_by(project, edit) == set()
    edit = {"stages/collections/readers/docstrings.py": (r"\n(def |class )", r"\nOTHER = 1\n\n\n\1")}
    assert changed_by(project, edit) == {"download/in_domain.json", "download/out_of_domain.json"}


def test_report_code_makes_only_reports_stale(project):
    edit = {
        path.relative_to(project).as_posix(): (r"\A", "OTHER = 1\n")
        for path in (project / "stages/reporting").rglob("*.py")
        if "from __future__" not in path.read_text()
    }
    stale = changed_by(project, edit)
    assert stale and not any(name.startswith(BEFORE_EVALUATE) for name in stale)


def test_a_default_in_the_code_is_seen(project):
    edit = {"stages/params/variants.py": (r'precision: Precision = "float32"', 'precision: Precision = "bfloat16"')}
    stale = changed_by(project, edit)
    assert {"train/full-hard.json", "train-reranker/late-random.json"} <= stale
    assert not any(name.startswith(("download", "encode", "search")) for name in stale)
