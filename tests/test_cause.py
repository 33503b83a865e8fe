"""The cause study: planted runs give the planted answers, and the page says what was not run."""

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import cause as verb
from stages.analysis import cause, cause_abstract, study_runs
from stages.analysis.cause_questions import Pair, Questions
from stages.analysis.contrasts import setting
from stages.core import yaml_file
from stages.core.errors import UserError
from tests import planted_runs, plants
from tests.conftest import STUDY

B_FOR_A = {"variant": "b", "against": "a", "says": "b for a", "finding": "harm"}
ASKED = {
    "base": "base",
    "drifts": 3,
    "abstract": {
        "harm": {"says": "b is worse than a", "expect": "worse"},
        "late": {"before": "C came late", "says": "c is worse than the base", "expect": "worse"},
        "line": {"says": "r degrades more", "expect": "grows", "saturation": "r"},
    },
    "sweeps": {"small": ["a", "b"], "large": ["c", "d"]},
    "questions": {
        "default": [
            {"ask": "Is b worse?", "expect": "worse", "pairs": [B_FOR_A]},
            {
                "ask": "Is c?",
                "asked_after": "the runs",
                "expect": "worse",
                "pairs": [{"variant": "c", "against": "base", "says": "c", "finding": "late"}],
            },
            {
                "ask": "At equal drift?",
                "expect": "worse",
                "pairs": [{"variant": "large at drift", "against": "small at drift", "says": "full"}],
            },
            {"ask": "Is z?", "expect": "worse", "pairs": [{"variant": "z", "against": "a", "says": "z"}]},
        ],
        "other": [{"ask": "Is it?", "expect": "differ", "pairs": [B_FOR_A]}],
    },
    "collections": {
        "default": {
            "title": "Planted",
            "short": "the planted one",
            "parts": ["default"],
            "split": "test",
            "measure": "RR@10",
            "choose": "dev",
            "questions": "default",
        },
        "elsewhere": {
            "title": "Elsewhere",
            "short": "another",
            "seen": True,
            "parts": ["gone"],
            "split": "test",
            "measure": "RR@10",
            "questions": "other",
        },
    },
}
QUESTIONS = Questions.model_validate(ASKED)
OPTIONS = {
    "questions": "questions.yaml",
    "runs": "runs",
    "saturation": "saturation.json",
    "page": "c.md",
    "verdicts": "c.json",
    "picture": "c.png",
}
VARIANTS = {"a": (0.0, 0.1), "b": (-0.1, 0.2), "c": (0.0, 0.3), "d": (0.0, 0.4)}


def contrasts(folder, variant: str, against: str) -> list:
    runs, collection = study_runs.read(folder, ["default"]), QUESTIONS.collections["default"]
    here = setting(runs, "test", "RR@10", "base", STUDY.report)
    return cause.contrasts(runs, here, Pair(variant=variant, against=against, says="x"), collection, QUESTIONS)


def test_a_planted_difference_between_two_variants(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0.05, 0.1), "b": (-0.1, 0.2)})
    (contrast,) = contrasts(tmp_path, "b", "a")
    assert contrast.comparison.difference == pytest.approx(-0.15, abs=0.01)
    assert contrast.comparison.seed_runs == 3 and contrast.comparison.queries == 200


def test_the_best_of_a_sweep_is_chosen_on_dev_and_named(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0.05, 0.1), "b": (-0.1, 0.2)})
    (contrast,) = contrasts(tmp_path, "best small", "base")
    assert contrast.says == "x (a)" and contrast.comparison.difference == pytest.approx(0.05, abs=0.01)


def test_equal_drift_is_read_between_the_rates(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0.0, 0.1), "b": (-0.2, 0.3), "c": (-0.05, 0.15), "d": (-0.05, 0.4)})
    found = contrasts(tmp_path, "large at drift", "small at drift")
    assert [one.says.rpartition(" ")[2] for one in found] == ["0.812", "0.775", "0.737"]
    for one, drift in zip(found, (0.188, 0.225, 0.263), strict=True):
        assert one.comparison.difference == pytest.approx(-0.05 + 0.2 * (drift - 0.1) / 0.2, abs=0.01)


def test_what_was_not_run_is_not_answered(tmp_path):
    planted_runs.cause(tmp_path, {"a": (0, 0.1)})
    for pair in (("z", "a"), ("large at drift", "small at drift"), ("best small", "a")):
        assert [one.verdict for one in contrasts(tmp_path, *pair)] == ["not run"]
    answers = cause.answers(None, QUESTIONS.collections["elsewhere"], QUESTIONS, STUDY.report)
    assert [question.answer for question in answers.questions] == ["Not run"] and answers.variants == []


def test_each_variant_is_in_per_cent_of_its_own_base(tmp_path):
    planted_runs.cause(tmp_path, VARIANTS)
    runs = study_runs.read(tmp_path, ["default"])
    answers = cause.answers(runs, QUESTIONS.collections["default"], QUESTIONS, STUDY.report)
    variants = {one.variant: one for one in answers.variants}
    assert list(variants) == list(VARIANTS) and variants["b"].contrast.verdict == "worse"
    assert variants["b"].contrast.base == pytest.approx(runs.on("test", "RR@10")["base"].mean(), abs=1e-6)
    assert variants["b"].drift == pytest.approx([0.2] * 3) and variants["b"].validation == {0: 0.5, 8: 0.6}
    assert answers.steps == 128 and answers.batch == 4
    assert answers.geometry["effective_rank"].n == 4


def test_json_is_read_back_as_it_was_written(tmp_path):
    planted_runs.cause(tmp_path, VARIANTS)
    runs = study_runs.read(tmp_path, ["default"])
    answers = {
        name: cause.answers(found, collection, QUESTIONS, STUDY.report)
        for found, (name, collection) in zip((runs, None), QUESTIONS.collections.items(), strict=True)
    }
    found = {name: one.findings for name, one in answers.items()}
    studied = cause.Studied(cause_abstract.sentences(QUESTIONS, found, {}), answers, 0.05)
    (tmp_path / "cause.json").write_text(cause.as_json(studied))
    assert cause.read(tmp_path / "cause.json") == studied


@pytest.mark.parametrize(
    "block, change, problem",
    [
        ("collections", {"default": {**ASKED["collections"]["default"], "questions": "none"}}, "no questions 'none'"),
        ("sweeps", {"small": ["a"]}, "large at drift: there is no sweep 'large'"),
        ("drifts", 0, "drifts: "),
        ("abstract", {}, "there is no finding 'harm'"),
    ],
)
def test_a_wrong_question_is_named_in_one_line(tmp_path, block, change, problem):
    with open(tmp_path / "questions.yaml", "w") as handle:
        YAML().dump({**ASKED, block: change}, handle)
    with pytest.raises(UserError, match=problem):
        yaml_file.read(tmp_path / "questions.yaml", Questions)


@pytest.fixture
def page(tmp_path, monkeypatch) -> str:
    """The page that the verb writes from planted runs."""
    planted_runs.cause(tmp_path / "runs", VARIANTS)
    plants.write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    with open("questions.yaml", "w") as handle:
        YAML().dump(ASKED, handle)
    (tmp_path / "saturation.json").write_text("{}")
    done = CliRunner().invoke(verb.main, [word for name, path in OPTIONS.items() for word in (f"--{name}", path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "c.png").stat().st_size > 10_000
    assert list(cause.read(tmp_path / "c.json").collections) == ["default", "elsewhere"]
    return (tmp_path / "c.md").read_text()


def test_each_question_has_its_answer(page):
    assert "**Is b worse?** Yes.\n\n- b for a: -2" in page and "), worse" in page
    assert "**Is c? (Asked after the runs were read.)** Not shown.\n\n- c: " in page
    assert "**At equal drift?** Not shown.\n\n- full: no drift in common" in page
    assert "**Is z?** Not run.\n\n- z: not run" in page


def test_the_abstract_has_its_figures_and_says_what_it_rests_on(page):
    sentence = page.splitlines()[2]
    assert sentence.startswith("We fine-tuned all-MiniLM-L6-v2 12 times, as 4 variants with 3 seeds each, on 1 coll")
    assert "B is worse than a, on the planted one (-2" in sentence
    assert "; not tried on another; so it rests on one collection alone." in sentence
    assert "It is not shown that r degrades more: not tried on the planted one and another." in page
    assert "| 1 | the planted one | b for a | -2" in page and "| 2 | the planted one | c † | " in page
    assert "\n†: asked after runs had been read.\n" in page and "; † marks what was asked after" in sentence
    assert ". C came late. It is not shown that c is worse than the base: not on the planted one (" in sentence


def test_the_verdicts_of_the_table_are_of_another_family_than_those_of_questions(page):
    variants = page.partition("## All variants")[2]
    note, table = (variants.index(words) for words in ("corrected over all 4 variants", "| verdict among all 4 |"))
    assert note < table


def test_what_is_open_is_said(page):
    answered, _, unanswered = page.partition("## What these runs cannot settle")
    unanswered = unanswered.partition("## All variants")[0]
    assert "), cannot tell, minimum detectable effect " in answered
    assert "Is b worse?" not in unanswered and "Not run: Elsewhere." in unanswered
    assert "128 steps of 4 triplets" in unanswered


def test_nothing_run_is_an_error_that_says_how_to_run_it(tmp_path, monkeypatch):
    plants.write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with open("questions.yaml", "w") as handle:
        YAML().dump(ASKED, handle)
    (tmp_path / "saturation.json").write_text("{}")
    done = CliRunner().invoke(verb.main, [word for name, path in OPTIONS.items() for word in (f"--{name}", path)])
    assert (
        done.exit_code == 1
        and "runs: no part of the cause study has been run; python -m studies.cause run" in done.output
    )
    assert not (tmp_path / "c.md").exists()
