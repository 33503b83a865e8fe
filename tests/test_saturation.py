"""The saturation study: planted slopes are found where they were planted; the page says so, and what was not run."""

import numpy as np
import pytest
from click.testing import CliRunner

from stages import saturation as verb
from stages.analysis import saturation
from stages.analysis import saturation_findings as findings
from stages.analysis.contrasts import answer, setting
from stages.analysis.saturation_findings import Asked
from stages.analysis.saturation_questions import DENIED, WANTED, Collection, Question, Questions
from stages.core import yaml_file
from stages.core.errors import UserError
from tests import planted_runs, plants
from tests.conftest import ROOT, STUDY
from tests.planted_runs import STEPS

SHIPPED = yaml_file.read(ROOT / "studies/saturation/questions.yaml", Questions)
LADDER = ["base", "level-8", "level-32", "level-128", "level-512"]
RECIPES = {"printed": "the paper's recipe", "coded": "the code's recipe", "low": "LoRA", "noisy": "LoRA, noisy"}
QUESTIONS = SHIPPED.model_copy(update={"ladder": LADDER, "beside": ["level-random"], "recipes": RECIPES})
WHERE = Collection(title="Planted", part="default", split="test", known="dev")
REPORT = STUDY.report.model_copy(update={"resamples": 1000})


def asked(folder) -> Asked:
    runs = saturation.read(folder, "default")
    here = setting(runs, "test", QUESTIONS.measure, "base", REPORT)
    return Asked(runs, here, QUESTIONS, WHERE, runs.on("dev", QUESTIONS.measure))


def question(**kind) -> Question:
    return Question(ask="?", **kind)


def test_planted_growth_is_found_and_only_where_it_was_planted(tmp_path):
    planted_runs.saturation(
        tmp_path, {"printed": (-0.01, 0.02), "low": (0.0, 0.02), "coded": (0.01, 0.02), "noisy": (0.0, 0.6)}
    )
    here = asked(tmp_path)
    found = {one.growth.recipe: one for one in findings.growth(here, question(growth=tuple(RECIPES)))}
    assert {recipe: one.contrast.verdict for recipe, one in found.items()} == {
        "printed": "grows",
        "low": "does not grow",
        "coded": "does not grow",
        "noisy": "cannot tell",
    }
    contrast, growth = found["printed"].contrast, found["printed"].growth
    assert contrast.comparison.difference == pytest.approx(-0.01 * np.log2(513), abs=0.005)
    assert contrast.comparison.seed_runs == 3 and contrast.comparison.clusters == 1000
    assert growth.a_doubling == pytest.approx(-0.01, abs=0.0005)
    expected = [-0.01 * np.log2(1 + STEPS[level]) for level in LADDER]
    assert growth.changes == pytest.approx(expected, abs=0.007)
    assert growth.over_values.split == "dev"
    assert growth.over_values.rise.change() == pytest.approx(contrast.change(), abs=2)
    pairs = (("low", "printed"), ("printed", "low"), ("noisy", "coded"))
    verdicts = [one.contrast.verdict for one in findings.less_growth(here, question(less_growth=pairs))]
    assert verdicts == ["grows less", "grows more", "cannot tell"]
    (last,) = findings.last_level(here, question(last_level=(("printed", "low"),)))
    assert last.contrast.verdict == "worse"
    assert last.contrast.comparison.difference == pytest.approx(-0.01 * np.log2(513), abs=0.01)


def test_variants_are_compared_with_their_level_and_with_the_base(tmp_path):
    planted_runs.saturation(tmp_path, {"printed": (-0.01, 0.02)}, queries=400)
    here = asked(tmp_path)
    levels = {one.level: one for one in saturation.level_values(here)}
    assert levels["level-512"].contrast.verdict == "better" and levels["level-512"].steps == 512
    assert levels["level-random"].contrast.verdict == "worse" and levels["level-random"].trained_from == "blank"
    assert levels["base"].contrast is None and levels["base"].last_loss is None
    variants = {one.level: one for one in saturation.variants(here)}
    assert list(variants) == [*LADDER, "level-random"]
    assert variants["level-512"].against_level.verdict == "worse"
    assert variants["level-512"].against_base.verdict == "better"
    assert variants["level-512"].variant == "printed_level-512" and variants["level-512"].drift == pytest.approx(0.1)


@pytest.mark.parametrize("random, verdict", [(-0.1, "better"), (-0.25, "cannot tell")])
def test_random_weights_that_stayed_where_they_were_are_at_the_floor(tmp_path, random, verdict):
    planted_runs.saturation(tmp_path, {"printed": (0.0, 0.02)}, queries=300, random=random)
    (found,) = findings.floor(asked(tmp_path), question(floor=(("level-random", "blank"),)))
    assert found.contrast.verdict == verdict and found.values == pytest.approx([0.45 + random, 0.2, 0.45], abs=0.02)


def test_what_was_not_run_is_not_answered(tmp_path):
    planted_runs.saturation(tmp_path, {"printed": (0.0, 0.02)}, queries=100)
    assert saturation.read(tmp_path, "elsewhere") is None
    here, pairs = asked(tmp_path), (("coded", "printed"),)
    for kind, names in (
        ("growth", ("coded",)),
        ("less_growth", pairs),
        ("last_level", pairs),
        ("floor", (("gone", "blank"),)),
    ):
        verdicts = [one.contrast.verdict for one in findings.KINDS[kind](here, question(**{kind: names}))]
        assert verdicts == ["not run"] and answer(verdicts, {WANTED[kind]}, DENIED[kind]) == "Not run"


def test_variants_of_unlike_triplets_are_refused(tmp_path):
    planted_runs.saturation(tmp_path, {"printed": (0.0, 0.02)}, queries=100)
    path = tmp_path / "default.json"
    path.write_text(path.read_text().replace("sha256 of seed-14", "another", 1))
    with pytest.raises(UserError, match=r"default\.json: variants of seed-14 were trained on 2 draws"):
        saturation.read(tmp_path, "default")


@pytest.mark.parametrize(
    "kind, verdicts, words",
    [
        ("growth", ["grows", "grows"], "Yes"),
        ("growth", ["grows", "not run"], "In 1 of 2"),
        ("growth", ["does not grow", "does not grow"], "No"),
        ("growth", ["does not grow", "cannot tell"], "Not shown"),
        ("less_growth", ["grows more"], "No"),
        ("last_level", ["no difference", "worse"], "No"),
        ("floor", ["better"], "Yes"),
    ],
)
def test_each_kind_of_question_has_its_own_yes_and_no(kind, verdicts, words):
    assert answer(verdicts, {WANTED[kind]}, DENIED[kind]) == words


def test_a_question_asks_one_thing():
    assert question(growth=["printed"]).kind == "growth"
    with pytest.raises(ValueError, match="asks one of growth, less_growth, last_level, floor"):
        question(growth=["printed"], floor=[["a", "b"]])


def judged(folder, monkeypatch) -> tuple[str, dict[str, saturation.Answers]]:
    """The page and the answers that the verb writes from a folder's runs, by the questions that we ship."""
    plants.write_params(folder)
    monkeypatch.chdir(folder)
    words = ["--questions", str(ROOT / "studies/saturation/questions.yaml"), "--runs", ".", "--page", "s.md"]
    done = CliRunner().invoke(verb.main, [*words, "--verdicts", "s.json", "--picture", "s.png"])
    assert done.exit_code == 0, done.output
    return (folder / "s.md").read_text(), saturation.read_answers(folder / "s.json")


def test_each_question_has_its_answer_and_each_variant_its_line(tmp_path, monkeypatch):
    planted_runs.saturation(tmp_path, {"printed": (-0.01, 0.02), "coded": (0.01, 0.02)}, queries=300, random=-0.25)
    page, answers = judged(tmp_path, monkeypatch)
    assert "**Does the paper's recipe degrade a checkpoint more, the longer that was trained?** Yes." in page
    assert "- the paper's recipe: degradation grows. From base to level-64 the change moves by -" in page
    assert "**Does the code's recipe degrade a checkpoint more, the longer that was trained?** No." in page
    assert "- the code's recipe: degradation does not grow" in page
    variants = answers["default"].variants
    worse = [one for one in variants if one.recipe == "printed" and one.against_level.verdict == "worse"]
    assert len(worse) == 2 and "2 of 3 are worse" in page and "0 of 3 are worse" in page
    assert "not shown to be above the floor" in page
    assert "Not run: A cut of MS MARCO, which the base checkpoint was trained on before." in page
    assert "| `printed_level-64` | 64 |" in page and "| `level-64` | base | 64 | 0.500 |" in page
    assert len(variants) == 6 and answers["msmarco"].variants == []
    assert (tmp_path / "s.png").stat().st_size > 10_000


def test_equal_runs_give_equal_bytes(tmp_path, monkeypatch):
    planted_runs.saturation(tmp_path, {"printed": (-0.01, 0.02)}, queries=200)
    judged(tmp_path, monkeypatch)
    first = [(tmp_path / name).read_bytes() for name in ("s.md", "s.json", "s.png")]
    judged(tmp_path, monkeypatch)
    assert first == [(tmp_path / name).read_bytes() for name in ("s.md", "s.json", "s.png")]


def test_before_any_run_the_page_says_how_to_run_it(tmp_path, monkeypatch):
    page, answers = judged(tmp_path, monkeypatch)
    assert "**Nothing has been run yet.** `python -m studies.saturation run`" in page
    assert "- Does the paper's recipe degrade a checkpoint more" in page and "## " not in page
    assert answers["default"].levels == [] and (tmp_path / "s.png").exists()
