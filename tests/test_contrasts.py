"""Two sides compared, and what the verdicts on a question amount to."""

import numpy as np
import pytest

from stages.analysis import study_runs
from stages.analysis.contrasts import NOT_RUN, Contrast, answer, setting
from stages.evaluation.comparison import BETTER, CANNOT_TELL, NO_DIFFERENCE, WORSE
from tests import plants
from tests.conftest import STUDY
from tests.planted_runs import cause as planted

DECIDED = (WORSE, BETTER, NO_DIFFERENCE)


@pytest.mark.parametrize(
    "wanted, verdicts, words",
    [
        ({WORSE}, [WORSE, WORSE], "Yes"),
        ({WORSE}, [WORSE, CANNOT_TELL], "In 1 of 2"),
        ({WORSE}, [WORSE, "no drift in common"], "In 1 of 2"),
        ({WORSE}, [NO_DIFFERENCE, NOT_RUN], "Not shown"),
        ({WORSE}, [NOT_RUN, NOT_RUN], "Not run"),
        ({WORSE}, [], "Not run"),
        ({WORSE}, [BETTER, NO_DIFFERENCE], "No"),
        ({WORSE}, [NO_DIFFERENCE, CANNOT_TELL], "Not shown"),
        ({WORSE, BETTER}, [WORSE, BETTER], "Yes"),
        ({BETTER}, [WORSE], "No"),
    ],
)
def test_answers_are_what_the_verdicts_amount_to(wanted, verdicts, words):
    assert answer(verdicts, wanted, DECIDED) == words


def test_a_family_is_judged_together_and_what_was_not_run_stays(tmp_path):
    planted(tmp_path, {"a": (-0.1, 0.1), "b": (0.0, 0.1)})
    here = setting(study_runs.read(tmp_path, ["default"]), "test", "RR@10", "base", STUDY.report)
    assert here.base == pytest.approx(0.45, abs=0.02)
    base = here.values["base"]
    lacking = Contrast("z", here.base, lacking=NOT_RUN)
    family = [here.contrast("a", here.values["a"], base), lacking, here.contrast("b", here.values["b"], base)]
    worse, same, unsure = here.judged(family)
    assert same is lacking and [one.verdict for one in (worse, same, unsure)] == [WORSE, NOT_RUN, CANNOT_TELL]
    assert worse.comparison.p_family == pytest.approx(2 * worse.comparison.p)
    (alone,) = here.judged(family[:1])
    assert alone.comparison.p_family == pytest.approx(alone.comparison.p)


def test_a_change_is_in_per_cent_of_its_base():
    contrast = Contrast("x", 0.4, plants.comparison(-0.02, low=-0.03, high=-0.01, detectable=None))
    assert [contrast.change(figure) for figure in ("difference", "low", "high")] == pytest.approx([-5, -7.5, -2.5])
    assert contrast.change("detectable") is Contrast("x", 0.4, lacking=NOT_RUN).change() is None


def test_another_verdict_takes_the_place_of_the_first():
    judged = Contrast("x", 0.4, plants.comparison(verdict=WORSE))
    assert judged.reworded(lambda one: f"not {one.verdict}").verdict == "not worse"
    assert Contrast("x", 0.4, lacking=NOT_RUN).reworded(lambda one: "never").verdict == NOT_RUN


def test_floats_are_rounded_to_equal_bytes():
    contrast = Contrast("x", np.float64(1 / 3), plants.comparison(1 / 3)).rounded()
    assert contrast.base == 0.333333 and contrast.comparison.difference == 0.333333
