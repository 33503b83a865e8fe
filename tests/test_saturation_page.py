"""The saturation page says what planted runs show, of what was not run that it was not, and nothing before any run."""
import json

import pytest
from click.testing import CliRunner

from stages import saturation
from tests.conftest import ROOT
from tests.test_saturating import write


def judged(folder) -> tuple[str, dict]:
    done = CliRunner().invoke(saturation.main, [
        "--questions", str(ROOT / "studies/saturation/questions.yaml"), "--runs", str(folder), "--page",
        str(folder / "s.md"), "--verdicts", str(folder / "s.json"), "--picture", str(folder / "s.png")])
    assert done.exit_code == 0, done.output
    return (folder / "s.md").read_text(), json.loads((folder / "s.json").read_text())


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_each_question_has_its_answer_and_each_row_its_line(tmp_path):
    write(tmp_path, {"text-full": (-0.01, 0.02), "code-full": (0.01, 0.02)}, queries=300, random=-0.25)
    page, found = judged(tmp_path)
    assert "**Does the text's recipe fall more, the more its start was taught?** Yes." in page
    assert "- the text's loss, full: grows, the change goes down as the start is taught more. From `untouched`" in page
    assert "**Does the code's recipe fall more, the more its start was taught?** No." in page
    assert "- the code's loss, full: does not grow" in page
    falls = [row for row in found["default"]["variants"] if row["recipe"] == "text-full" and row["level"] != "level-random"
             and row["own"]["verdict"] == "worse"]
    assert len(falls) == 2 and "a fall by itself at 2 of 3" in page and "a fall by itself at 0 of 3" in page
    assert "at the floor, as far as can be told" in page
    assert "- A cut of MS MARCO, which the base has learned before: not run." in page
    assert "| `text-full_level-64` | 64 |" in page and "| `level-64` | untouched | 64 | 0.500 |" in page
    assert len(found["default"]["variants"]) == 6 and found["msmarco"]["variants"] == []
    assert (tmp_path / "s.png").stat().st_size > 10_000


def test_equal_runs_give_equal_bytes(tmp_path):
    write(tmp_path, {"text-full": (-0.01, 0.02)}, queries=200)
    judged(tmp_path)
    first = [(tmp_path / name).read_bytes() for name in ("s.md", "s.json", "s.png")]
    judged(tmp_path)
    assert first == [(tmp_path / name).read_bytes() for name in ("s.md", "s.json", "s.png")]


def test_before_any_run_it_says_so_and_how_to_run_it(tmp_path):
    page, found = judged(tmp_path)
    assert "**Nothing was run yet.** `python -m studies.saturation run`" in page
    assert "- Does the text's recipe fall more" in page and "## " not in page
    assert found["default"]["starts"] == [] and (tmp_path / "s.png").exists()
