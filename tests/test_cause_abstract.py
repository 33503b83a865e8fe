"""The cause study's abstract: what a sentence says where its contrasts hold, do not, or are too few."""

from dataclasses import replace

import pytest

from stages.analysis import cause_abstract
from stages.analysis.cause import Answers, Studied, VariantChange
from stages.analysis.cause_abstract import Line, Place, Sentence
from stages.analysis.cause_questions import Collection, Finding, Questions
from stages.analysis.contrasts import Contrast
from stages.core import yaml_file
from stages.reporting import cause_abstract as words
from tests import plants
from tests.conftest import ROOT

NAMES = {"default": "the default one", "seen": "a seen one", "own": "one of its own"}


def contrast(verdict: str, seeds: int = 3, difference: float = -0.1) -> Contrast:
    if verdict == "not run":
        return Contrast("x", 0.5, lacking=verdict)
    compared = plants.comparison(difference, low=difference - 0.02, high=difference + 0.03, verdict=verdict)
    return Contrast("x", 0.5, replace(compared, seed_runs=seeds, detectable=0.035, p_family=0.01))


def sentence(says: str = "a is worse", expect: str = "worse", **verdicts: list[Contrast]) -> Sentence:
    """A sentence with the contrasts of each collection; those not named were not tried."""
    finding = Finding(says=says, expect=expect)
    return Sentence(says, expect, True, [place(name, finding, verdicts.get(name, [])) for name in NAMES])


def place(name: str, finding: Finding, contrasts: list[Contrast]) -> Place:
    collection = Collection(
        title="X", short=NAMES[name], seen=name == "seen", parts=[name], split="s", measure="m", questions="q"
    )
    return cause_abstract._place(collection, finding, contrasts)


@pytest.mark.parametrize(
    "verdicts, state",
    [
        (["worse", "worse"], "holds"),
        (["worse", "cannot tell"], "holds in part"),
        (["worse", "not run"], "holds in part"),
        (["no difference", "cannot tell"], "not shown"),
        (["better", "cannot tell"], "opposite"),
        (["not run"], "not tried"),
        ([], "not tried"),
    ],
)
def test_what_contrasts_amount_to(verdicts, state):
    assert sentence(default=[contrast(one) for one in verdicts]).places[0].state == state


@pytest.mark.parametrize(
    "found, said",
    [
        (
            {"default": "worse", "seen": "worse", "own": "worse"},
            "A is worse, on the default one (F), a seen one (F) and one of its own (F).",
        ),
        (
            {"default": "worse"},
            "A is worse, on the default one (F); not tried on a seen one and one of its own; so it rests on one "
            "collection alone.",
        ),
        (
            {"seen": "worse", "own": "worse"},
            "A is worse, on a seen one (F) and one of its own (F); not tried on the default one; so it is not shown on "
            "the default one.",
        ),
        (
            {"default": "worse", "own": "cannot tell", "seen": "better"},
            "A is worse, on the default one (F); not shown on one of its own (F); the other way round on a seen one "
            "(F); so it rests on one collection alone.",
        ),
        (
            {"default": "cannot tell"},
            "It is not shown that a is worse: not on the default one (F); not tried on a seen one and one of its own.",
        ),
    ],
)
def test_a_sentence_says_where_it_holds_and_what_it_rests_on(found, said):
    one = sentence(**{name: [contrast(verdict)] for name, verdict in found.items()})
    assert words.said(one) == said.replace("F", "-20.0 %, -24.0 to -14.0")


def test_two_seeds_are_a_hint_and_two_splits_of_one_run_are_one_collection():
    few = sentence(default=[contrast("worse")], seen=[contrast("worse", seeds=2)], own=[contrast("worse")])
    assert few.is_well_founded  # over three seeds on the two others
    few = sentence(default=[contrast("worse")], seen=[contrast("worse", seeds=2)])
    assert not few.is_well_founded and "on a seen one with fewer than 3 seeds, so take it as a hint" in words.said(few)
    splits = [replace(place, part="default") for place in sentence(default=[contrast("worse")]).places]
    splits[1] = replace(splits[1], state="holds", contrasts=[contrast("worse")])
    assert not Sentence("a", "worse", True, splits).is_well_founded


def test_collections_of_one_name_are_one_place():
    pair = {"variant": "a", "against": "b", "says": "x", "finding": "harm"}
    one = {"short": "one", "parts": ["p"], "split": "s", "measure": "m", "questions": "q"}
    asked = Questions.model_validate(
        {
            "base": "b",
            "drifts": 1,
            "abstract": {"harm": {"says": "a is worse", "expect": "worse"}},
            "sweeps": {},
            "questions": {"q": [{"ask": "?", "expect": "worse", "pairs": [pair]}]},
            "collections": {
                "first": {"title": "F", **one},
                "other": {"title": "O", **one, "short": "other", "parts": ["o"]},
                "again": {"title": "A", **one, "parts": ["again"]},
            },
        }
    )
    found = {"first": {"harm": [contrast("worse")]}, "other": {}, "again": {"harm": [contrast("cannot tell")]}}
    (both, untried) = cause_abstract.sentences(asked, found, {})["harm"].places
    assert (both.collection, both.part, both.state, len(both.contrasts)) == ("one", "p", "holds in part", 2)
    assert untried.state == "not tried"


def studied(**sentences: Sentence) -> Studied:
    ran = Answers("X", "m", "s", [], [VariantChange("a", "base", contrast("worse"), [0.1] * 3, [], {})], {}, [], 9, 4)
    return Studied(sentences, {"default": ran}, 0.05)


def test_harm_where_nothing_was_seen_before_speaks_against_saturation_alone():
    worse, unsure = [contrast("worse")], [contrast("cannot tell")]
    for where, expected in (({"seen": worse}, 0), ({"seen": worse, "own": worse}, 1), ({"own": unsure}, 0)):
        assert len(words.explanation(studied(harm=sentence(**where)))[1]) == expected


def test_harm_of_the_text_only_where_it_was_seen_speaks_for_saturation_and_everywhere_against_it():
    worse, unsure = [contrast("worse")], [contrast("cannot tell")]
    speaks_for, against, _ = words.explanation(
        studied(mild=sentence(seen=worse, own=[contrast("cannot tell", difference=0)]))
    )
    assert not against and "and loses less on one of its own" in speaks_for[0]
    speaks_for, against, unclear = words.explanation(studied(mild=sentence(seen=worse, own=unsure)))
    assert not speaks_for and not against and "the intervals there include the same loss, on one of" in unclear[0]
    assert [len(found) for found in words.explanation(studied(mild=sentence(seen=worse, own=worse)))] == [0, 1, 0]
    assert [len(found) for found in words.explanation(studied(mild=sentence(own=unsure)))] == [0, 0, 1]
    grows = replace(sentence("it degrades more", "grows", default=[contrast("grows")]), quoted=False)
    assert [len(found) for found in words.explanation(studied(line=grows))] == [1, 0, 0]
    quoted = words.abstract(studied(mild=sentence(seen=worse, own=unsure))).parts[0]
    assert quoted.startswith("We fine-tuned all-MiniLM-L6-v2 3 times, as 1 variants with 3 seeds each")
    assert "On saturation, P1's explanation, these runs say nothing." in quoted
    assert "Figures are changes of m in per cent of the base, with 95 % intervals." in quoted


def test_the_abstract_ends_with_what_the_results_say_of_saturation():
    worse, line = [contrast("worse")], Line(3, 32, 8, contrast("cannot tell", difference=0))
    grows = replace(sentence("it degrades more", "grows", default=[contrast("grows")]), quoted=False)
    grows = replace(grows, places=[replace(grows.places[0], line=line), *grows.places[1:]])
    both = studied(harm=sentence(own=worse), line=grows)
    quoted = words.abstract(both).parts[0]
    assert (
        "cannot be the only cause; one result, of a second study (32 steps of 8 triplets), fits it. The run" in quoted
    )
    assert (
        "(three levels, one model each; over how well a level ranks, rather than its steps, it is not shown: "
        in (words.explanation(both)[0][0])
    )
    alone = words.abstract(studied(line=grows)).parts[0]
    assert "One result, of a second study (32 steps of 8 triplets), fits it as P1's explanation" in alone
    assert "cannot be the only cause" not in alone


def test_what_was_asked_late_is_marked_and_several_contrasts_are_named():
    late = replace(contrast("worse"), says="full (a)", late=True)
    one = sentence(own=[late, replace(contrast("worse"), says="LoRA, b")])
    assert "(full -20.0 %, -24.0 to -14.0 †; LoRA -20.0 %, -24.0 to -14.0)" in words.said(one)
    assert "; † marks what was asked after runs had been read." in words.abstract(studied(harm=one)).parts[0]


def test_the_rates_that_the_abstract_names_are_those_of_the_settings():
    asked = yaml_file.read(ROOT / "studies/cause/questions.yaml", Questions)
    paper, study = (
        yaml_file.load(ROOT / path) for path in ("studies/papers/2506.18535.yaml", "studies/cause/common.yaml")
    )
    assert study["full-1e-4"]["lr"] == pytest.approx(5 * paper["full"]["lr"]) and paper["full"]["lr"] == 2e-5
    assert "at 2e-5, a fifth of that rate" in asked.abstract["coded-best"].before
    assert "at a learning rate of 1e-4" in asked.abstract["harm"].says
