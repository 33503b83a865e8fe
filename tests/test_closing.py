"""What a run ends with: a knob that the study has, and nothing that would compare it with another one."""

import subprocess
import sys

import pytest

from stages import check, params
from stages.core.errors import UserError
from stages.running import closing, ownership, preview
from tests import plants
from tests.conftest import ROOT, run


def test_the_knob_is_one_that_a_variant_uses():
    of_default = closing.change(params.load(ROOT / "params.yaml"))
    assert of_default.startswith("change a number with python -m stages.reproduce -S lora.rank=")
    study = params.parse(plants.blocks())
    kept = {name: block for name, block in study.retrievers.items() if block.tuning == "none"}
    none = study.model_copy(update={"retrievers": kept, "rerankers": {}, "searches": {}})
    assert closing.change(none) == "change a number in params.yaml and run make reproduce"
    full = none.model_copy(update={"retrievers": kept | {"full-hard": study.retrievers["full-hard"]}})
    assert closing.change(full).endswith(f"-S full.lr={study.tunings['full'].lr / 2:g}")


def test_a_plan_is_neither_compared_with_the_committed_study_nor_given_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path)
    plants.write_params(tmp_path)
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  a:\n    cmd: a\n    outs:\n    - path: a\n      md5: 1\n"
    )
    run("git add -A && git commit -qm c", tmp_path)
    committed = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(committed + "# mine\n")
    assert "dvc metrics diff says what came of it" in closing.same_bytes() and check._way_back()
    planned = ownership.marked("a" * 64, committed)
    for text in (planned, planned + "# edited since\n"):
        (tmp_path / "params.yaml").write_text(text)
        assert "commit this study first" in closing.same_bytes()
        assert check._way_back() == ""
    (tmp_path / "params.yaml").write_text(planned)
    run("git commit -qam plan", tmp_path)
    (tmp_path / "params.yaml").write_text(planned + "# edited since\n")
    assert "dvc metrics diff says what came of it" in closing.same_bytes()
    assert check._way_back() == "; git restore -SW params.yaml brings back the committed one"
    (tmp_path / "params.yaml").write_text(ownership.marked("b" * 64, committed))
    assert "commit this study first" in closing.same_bytes() and check._way_back() == ""


def test_only_reports_that_this_run_brought_to_an_end_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plants.write_params(tmp_path)
    assert list(closing.lines({"check", "evaluate"})) == []
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/answer.json").write_text('{"brief": ["One came out better"]}')
    (tmp_path / "reports/index.html").write_text("")
    assert list(closing.lines({"check", "evaluate"})) == [
        "The reports in reports/ are of an earlier run; make reproduce writes them"
    ]
    answer, page, following = closing.lines({"check", "evaluate", "report", "page"})
    assert answer == "One came out better" and "reports/index.html" in page and following.startswith("Next: ")
    assert len(list(closing.lines({"report"}))) == 2


def test_a_check_that_was_killed_is_one_line(monkeypatch, tmp_path):
    kill = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    real = subprocess.Popen
    monkeypatch.setattr(preview.subprocess, "Popen", lambda command, **how: real(kill, **how))
    with pytest.raises(UserError, match=r"check: was killed and said nothing \(exit code -9\)"):
        preview._run_first(str(tmp_path), type("Now", (), {"stages": {"check": None}}))
