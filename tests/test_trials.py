"""Trials of a search: the same at the same seed, killed or not, ended early by those before, the best one chosen."""

import json
import math
import pickle
from collections import Counter

import pytest

from stages.params.searches import Searched
from stages.training import trials

NAMES = {"checkpoint": "m", "tuning": "t", "triplets": "x", "recipe": "r", "variant": "v", "corpus": "c"}
SPACE = {
    "tuning": {"lr": {"low": 1e-5, "high": 1e-2, "log": True}, "rank": [4, 8, 16]},
    "recipe": {"epochs": {"low": 1, "high": 3}},
}
OWN = {"tuning.lr": 1e-4, "tuning.rank": 16, "recipe.epochs": 1}
STEPS = (0, 2, 4, 6)


class Killed(BaseException):
    """As kill -9 does, nothing catches it."""


def block(**changed) -> Searched:
    return Searched.model_validate({**NAMES, "space": SPACE, "trials": 12, "seed": 13, **changed})


def trained(asked=None, killed=None):
    """A run whose figures rise towards a rate of 0.001; `asked` counts, killed (trial, step) ends the process there."""

    def run(number, values, ends):
        if asked is not None:
            asked[number] += 1
        curve = {}
        for step in STEPS:
            curve[step] = round(0.5 - 0.05 * abs(math.log10(values["tuning.lr"]) + 3) * (step + 1) / 7, 6)
            if killed == (number, step):
                raise Killed
            if step < STEPS[-1] and ends(curve):
                return trials.Outcome(curve, None)
        return trials.Outcome(curve, curve[STEPS[-1]])

    return run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return trials.search(block(), OWN, tmp_path_factory.mktemp("undisturbed") / "journal", trained())


def test_the_same_seed_gives_the_same_trials_and_another_one_others(undisturbed, tmp_path):
    assert trials.search(block(), OWN, tmp_path / "again", trained()) == undisturbed
    other = trials.search(block(seed=14), OWN, tmp_path / "other", trained())
    assert other[0].params == undisturbed[0].params == OWN
    assert [one.params for one in other[1:]] != [one.params for one in undisturbed[1:]]


def test_another_process_that_trains_reports_to_the_same_search(undisturbed, tmp_path):
    def run(number, values, ends):
        return trained()(number, values, lambda curve: pickle.loads(pickle.dumps(ends))(curve))

    assert trials.search(block(), OWN, tmp_path / "elsewhere", run) == undisturbed
    assert any(one.state == "pruned" for one in undisturbed)


def test_killed_at_any_trial_and_step_it_ends_with_the_same_trials(undisturbed, tmp_path):
    journal, asked = tmp_path / "journal", Counter()
    for trial in undisturbed:
        step = max(trial.curve)
        with pytest.raises(Killed):
            trials.search(block(), OWN, journal, trained(asked, (trial.number, step)))
        with journal.open("a") as file:
            file.write('{"op_code": 4, "half a li')
        (tmp_path / "journal.lock").touch()
    assert trials.search(block(), OWN, journal, trained(asked)) == undisturbed
    assert asked == {trial.number: 2 for trial in undisturbed}


def test_a_trial_is_ended_early_where_half_of_those_before_were_better_at_that_step(undisturbed, tmp_path):
    ended = [trial for trial in undisturbed if trial.state == "pruned"]
    assert ended
    for trial in ended:
        step = max(trial.curve)
        before = sorted(one.curve[step] for one in undisturbed[: trial.number] if one.state == "complete")
        middle = len(before) // 2
        median = before[middle] if len(before) % 2 else (before[middle - 1] + before[middle]) / 2
        assert trial.value is None and max(trial.curve.values()) < median
    never = trials.search(block(pruner="none", trials=6), OWN, tmp_path / "journal", trained())
    assert all(trial.state == "complete" for trial in never)


def test_the_best_whole_trial_is_chosen_and_of_equals_the_first(undisturbed):
    best = trials.best(undisturbed)
    assert best.value == max(trial.value for trial in undisturbed if trial.value is not None)
    equal = [trials.Trial(number, {}, "complete", 0.5, {}) for number in range(3)]
    assert trials.best([trials.Trial(9, {}, "pruned", None, {1: 0.9}), *equal]).number == 0


def test_a_setting_that_was_tried_is_not_trained_again(tmp_path):
    asked = Counter()
    space = {"tuning": {"lr": [0.001, 0.1]}}
    found = trials.search(block(space=space, trials=6, pruner="none"), None, tmp_path / "journal", trained(asked))
    assert len(found) == 6 and sum(asked.values()) == 2
    assert len({(trial.params["tuning.lr"], trial.value) for trial in found}) == 2


def test_numbers_have_three_digits_and_lie_in_the_space(undisturbed):
    for trial in undisturbed:
        assert float(f"{trial.params['tuning.lr']:.3g}") == trial.params["tuning.lr"]
        assert 1e-5 <= trial.params["tuning.lr"] <= 1e-2 and trial.params["recipe.epochs"] in (1, 2, 3)
    assert json.loads(json.dumps(undisturbed[3].as_json()))["curve"].keys() == {"2", "4", "6"}


def test_hours_end_a_search_after_its_first_trial(tmp_path):
    assert len(trials.search(block(hours=1e-9), OWN, tmp_path / "journal", trained())) == 1
