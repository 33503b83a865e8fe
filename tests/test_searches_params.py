"""The block `searches`: what a study is told whose searches cannot be, in one line before anything is trained."""

import pytest

from stages import params
from stages.core.errors import UserError
from stages.params.searches import Axis
from tests.plants import blocks, write_params

BLOCK = {
    **{"variant": "full-hard", "checkpoint": "minilm", "tuning": "full", "triplets": "hard", "recipe": "printed"},
    **{"corpus": "in_domain", "trials": 4, "seed": 13},
    "space": {"tuning": {"lr": {"low": 1e-5, "high": 1e-3, "log": True}}, "recipe": {"epochs": [1, 2]}},
}


def loaded(tmp_path, block, **changed):
    write_params(tmp_path, searches={"found": block}, **changed)
    return params.load(tmp_path / "params.yaml")


def test_a_space_is_known_by_the_places_of_its_settings(tmp_path):
    study = loaded(tmp_path, BLOCK)
    assert list(study.searches["found"].space) == ["tuning.lr", "recipe.epochs"]
    assert study.searchers["found"] == study.trained["found"] and study.trained_on("found") == "in_domain"
    assert study.warnings() == []
    assert "a budget of hours" in loaded(tmp_path, {**BLOCK, "hours": 1.5}).warnings()[0]


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"variant": "gone"}, "searches.found.variant: no retriever is called 'gone'; there are: bm25, base"),
        ({"variant": "base"}, "searches.found.variant: 'base' is not fine-tuned"),
        ({"tuning": "lora"}, "searches.found.tuning: must be 'full', as variant 'full-hard' has it"),
        ({"corpus": "out_of_domain"}, "searches.found.corpus: must be 'in_domain'"),
        ({"seed": 7}, "searches.found.seed: 7 is none of `seeds`"),
        ({"trials": 0}, "searches.found.trials: input should be greater than 0, got 0"),
        ({"hours": 0}, "searches.found.hours: input should be greater than 0, got 0"),
        ({"space": {}}, "searches.found.space: dictionary should have at least 1 item"),
        ({"space": {"lr": [1, 2]}}, "searches.found.space: lr: no such place; name alpha, or what is in tuning or"),
        ({"space": {"alpha": [0.0, 1.0]}}, "searches.found.space: alpha: the share of the way from the base"),
        ({"space": {"tuning": {"lr": [0.1]}}}, "space.tuning.lr: name at least two different choices"),
        ({"space": {"tuning": {"lr": {"low": 1, "hih": 2}}}}, "space.tuning.lr.hih: no such parameter; there are: low"),
        ({"space": {"tuning": {"lr": {"low": 0.1}}}}, "space.tuning.lr: name low and high, or a list of choices"),
        ({"space": {"tuning": {"lr": {"low": 0.2, "high": 0.1}}}}, "space.tuning.lr: low 0.2 is not below high 0.1"),
        ({"space": {"tuning": {"lr": {"low": 0.0, "high": 0.1, "log": True}}}}, "tuning.lr: log needs a low above 0"),
        ({"space": {"tuning": {"lr": [0.1, 2.0]}}}, "space.tuning.lr: 2.0 cannot be: input should be less than 1"),
        ({"space": {"tuning": {"rank": [1, 2]}}}, "space.tuning.rank: no such parameter of full; there are: lr, "),
        ({"space": {"recipe": {"loss": {"m": [1, 2]}}}}, "loss.m: no such parameter of printed.loss; there are: dist"),
        ({"space": {"recipe": {"batch": {"x": [1, 2]}}}}, "no such parameter of printed.batch; it holds one value"),
        (
            {"space": {"recipe": {"loss": {"kind": ["triplet", "x"]}}}},
            "kind: a search keeps its loss and tuning; write",
        ),
        ({"space": {"recipe": {"epochs": [1, 1.5]}}}, "space.recipe.epochs: 1.5 cannot be: input should be a valid"),
        ({"space": {"recipe": {"batch": [8, 999]}}}, "space.recipe.batch: triplets 'hard' have less than one batch"),
        ({"space": {"recipe": {"loss": {"margin": [-1, 1]}}}}, "space.recipe.loss.margin: -1 cannot be: input should"),
    ],
)
def test_what_cannot_be_is_one_line(changed, said, tmp_path):
    with pytest.raises(UserError) as error:
        loaded(tmp_path, {**BLOCK, **changed})
    message = str(error.value.message)
    assert said in message and "\n" not in message


def test_names_are_not_taken_and_validation_is_there(tmp_path):
    with pytest.raises(UserError, match=r"searches\.full-hard: another variant has that name"):
        write_params(tmp_path, searches={"full-hard": BLOCK})
        params.load(tmp_path / "params.yaml")
    corpora = blocks()["corpora"]
    corpora["in_domain"]["validation"] = 0
    with pytest.raises(
        UserError, match=r"searches\.found: its trials are scored on validation, and corpora\.in_domain"
    ):
        loaded(tmp_path, BLOCK, corpora=corpora, interpolations={})


@pytest.mark.parametrize(
    "axis, value, held",
    [
        ({"low": 1, "high": 3}, 2, True),
        ({"low": 1, "high": 3}, 2.5, False),
        ({"low": 1.0, "high": 3.0}, 2.5, True),
        ({"low": 1, "high": 3}, 4, False),
        ({"low": 0, "high": 3}, True, False),
        ({"choices": [1, None]}, None, True),
        ({"choices": [1, "a"]}, "b", False),
        ({"low": 1, "high": 3}, None, False),
    ],
)
def test_what_a_space_holds(axis, value, held):
    assert Axis.model_validate(axis).holds(value) is held
