"""The page says what planted runs show, and of what was not run that it was not."""
import json

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import cause
from tests.test_contrasts import SEEDS, write

QUESTIONS = {
    "measure": "RR@10", "drifts": 2, "sweeps": {"small": ["a", "b"], "large": ["c", "d"]},
    "collections": {
        "default": {"title": "Planted", "parts": ["in_domain"], "split": "test", "choose": "dev", "questions": [
            {"ask": "Is b worse?", "expect": "worse", "pairs": [{"variant": "b", "against": "a", "says": "b for a"}]},
            {"ask": "Is c?", "expect": "worse", "pairs": [{"variant": "c", "against": "base", "says": "c"}]},
            {"ask": "At equal drift?", "expect": "worse",
             "pairs": [{"variant": "large at drift", "against": "small at drift", "says": "full"}]},
            {"ask": "Is z?", "expect": "worse", "pairs": [{"variant": "z", "against": "a", "says": "z"}]}]},
        "elsewhere": {"title": "Elsewhere", "parts": ["gone"], "split": "test", "questions": [
            {"ask": "Is it?", "expect": "worse", "pairs": [{"variant": "a", "against": "base", "says": "a"}]}]}}}


@pytest.fixture
def page(tmp_path) -> str:
    write(tmp_path / "runs", {"a": (0.0, 0.1), "b": (-0.1, 0.2), "c": (0.0, 0.3), "d": (0.0, 0.4)})
    path = tmp_path / "runs/home.json"
    told = json.loads(path.read_text())
    for row, cell in told["cells"].items():
        cell |= {"batch": 4}
        for seed, copy in cell["seed_runs"].items():
            assert seed in SEEDS
            copy |= {"steps": 128, "geometry": {"effective_rank": 100 - 100 * (row == "b")},
                     "watched": {"0": 0.5, "8": 0.6}, "last_loss": 0.2}
    path.write_text(json.dumps(told | {"commit": "f" * 40, "threads": "1",
                                       "versions": {"torch": "2", "sentence-transformers": "6"}}))
    with open(tmp_path / "questions.yaml", "w") as handle:
        YAML().dump(QUESTIONS, handle)
    done = CliRunner().invoke(cause.main, [
        "--questions", str(tmp_path / "questions.yaml"), "--runs", str(tmp_path / "runs"), "--page",
        str(tmp_path / "cause.md"), "--verdicts", str(tmp_path / "cause.json"), "--picture", str(tmp_path / "cause.png")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "cause.png").stat().st_size > 10_000
    return (tmp_path / "cause.md").read_text()


def test_each_question_has_its_answer(page):
    assert "- **Is b worse?** Yes.\n  - b for a: -2" in page and "worse" in page
    assert "- **Is c?** Not shown.\n  - c: " in page
    assert "- **At equal drift?** Not shown.\n  - full: no drift in common" in page
    assert "- **Is z?** Not run.\n  - z: not run" in page


def test_what_is_open_is_said(page):
    unanswered = page.partition("## What stays open")[2].partition("## Every row")[0]
    assert "At equal drift? full: no drift in common" in unanswered and "Is z? z: not run" in unanswered
    assert "Is b worse?" not in unanswered and "- Elsewhere: not run." in unanswered
    assert "128 steps of 4 triplets" in unanswered
