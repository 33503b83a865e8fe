"""What docs/ says in words of the cause study and of the mitigations, sentence by sentence, held to their figures."""

import re

import pytest
from scipy.stats import spearmanr

from stages.analysis import cause, transfer
from stages.analysis.contrasts import Contrast
from tests.conftest import ROOT

CAUSE = cause.read(ROOT / "reports/cause.json")
VARIANTS = {name: {entry.variant: entry for entry in part.variants} for name, part in CAUSE.items()}
BEST_PAPER = "Is the paper's loss at its best rate worse than no fine-tuning?"
BEST_CODE = "Is the code's loss at its best rate worse than no fine-tuning?"
EQUAL_DRIFT = "Is the code's loss worse than the paper's at equal drift"
BELOW_BASE = "Is fine-tuning worse than none, with either loss?"

# A part of a sentence -> (collection, how the question begins, how the words of its pairs begin, the verdict of each).
SAID = {
    "On the default collection, at one learning rate, a model gets worse when no triplet can reach the margin.": [
        ("default", "Is a margin that no triplet can reach worse", "", "worse")
    ],
    "It also gets worse with a margin of 5 on raw vectors; we do not see this with 0.2.": [
        ("default", "On raw vectors, is a margin of 5", "", "worse")
    ],
    "With the best of four rates each, the paper's loss gains a little.": [("default", BEST_PAPER, "", "better")],
    "The code's loss cannot be told from the base, and its best rate is the lowest one tried, at which the model moves "
    "least.": [("default", BEST_CODE, "", "cannot tell")],
    "Models get worse the further they move from the base, and at three times the rate the paper's loss hurts as "
    "well.": [("default", "Is the paper's loss at three times the rate worse", "", "worse")],
    "At an equal distance from the base, full fine-tuning still loses more with the code's loss than with the "
    "paper's; for LoRA this is not shown.": [
        ("default", EQUAL_DRIFT, "full", "worse"),
        ("default", EQUAL_DRIFT, "LoRA", "cannot tell"),
    ],
    "We found no effect of the distance metric, and none of LoRA against full fine-tuning, beyond what the "
    "intervals on the page allow.": [
        ("default", "Does the distance metric matter", "", "cannot tell"),
        ("default", "Is LoRA worse than full fine-tuning", "", "cannot tell"),
    ],
    "With the code's loss, random passages train worse models than hard negatives do, and unit vectors worse "
    "models than raw ones.": [
        ("default", "passages drawn at random", "the code's loss", "better"),
        ("default", "Does leaving out Normalize", "raw for unit vectors, margin 5", "better"),
    ],
    "On the cut of MS MARCO, which the base model was trained on before, both losses hurt.": [
        ("msmarco", BELOW_BASE, "", "worse"),
        ("dl19", BELOW_BASE, "", "worse"),
    ],
    "On its dev queries the code's loss does several times the harm.": [
        ("msmarco", "Is a margin of 5 worse", "raw vectors", "worse")
    ],
}


def test_the_section_consists_of_the_sentences_that_are_held_to_verdicts_here():
    page = (ROOT / "docs/cause.md").read_text()
    section = re.search(r"\n## In short\n\n<!--.*?-->\n(.*?)\n!\[", page, re.DOTALL)
    assert " ".join(section[1].split()) == " ".join(SAID)


@pytest.mark.parametrize("part, ask, says, verdict", [claim for claims in SAID.values() for claim in claims])
def test_each_sentence_has_its_verdict(part, ask, says, verdict):
    verdicts = [contrast.verdict for contrast in contrasts(part, ask) if contrast.says.startswith(says)]
    assert verdicts and set(verdicts) == {verdict}


def test_a_margin_out_of_reach_is_worse_than_the_base_and_0_2_is_not_seen_to_be():
    variants = VARIANTS["default"]
    assert {variants[name].contrast.verdict for name in ("cos2", "unit5", "raw5")} == {"worse"}
    assert {variants[name].contrast.verdict for name in ("cos02", "unit02", "raw02")} == {"cannot tell"}
    # What a triplet still lacks of its margin at the end of training: most of it.
    assert min(variants["cos2"].loss) > 0.75 * 2 and min(variants["unit5"].loss) > 0.75 * 5


def test_a_little_is_a_little_and_the_codes_best_rate_is_the_one_that_moves_least():
    assert all(0 < contrast.change() < 5 for contrast in contrasts("default", BEST_PAPER))
    sweeps = (
        ["raw5_1e-5", "raw5_3e-5", "raw5", "raw5_3e-4"],
        [f"raw5_lora-{rate}" for rate in ("1e-4", "3e-4", "1e-3", "3e-3")],
    )
    for contrast, sweep in zip(contrasts("default", BEST_CODE), sweeps, strict=True):
        chosen = re.search(r"\((.*)\)", contrast.says)[1]
        assert chosen == min(sweep, key=drift) and drift(chosen) < 0.1 < sorted(map(drift, sweep))[1]


def test_the_loss_grows_with_the_distance_from_the_base():
    variants = list(VARIANTS["default"])
    assert spearmanr([drift(name) for name in variants], [change(name) for name in variants]).statistic < -0.8
    for sweep in (["raw5_1e-5", "raw5_3e-5", "raw5", "raw5_3e-4"], ["cos02_3e-5", "cos02", "cos02_3e-4"]):
        assert sweep == sorted(sweep, key=drift) == sorted(sweep, key=change, reverse=True)


def test_the_codes_loss_does_several_times_the_harm_on_the_dev_queries_of_ms_marco():
    assert change("raw5", "msmarco") < 3 * change("cos02", "msmarco") < 0


def test_what_the_page_says_of_each_mitigation():
    """The share of the loss of coded-hard that each recovers, in domain and out of domain."""
    measured = {one.variant: one for one in transfer.read(ROOT / "reports/keeping.json").variants}

    def recovered(variant: str) -> list[float]:
        sides = zip(domains(measured[variant]), domains(measured["coded-hard"]), strict=True)
        return [1 - change / without for change, without in sides]

    assert all(min(recovered(name)) > 0.6 for name in ("coded-best", "coded-top", "coded-ia3", "coded-mix"))
    assert recovered("coded-distil") == pytest.approx([1 / 2, 1 / 3], abs=0.03)
    assert recovered("coded-l2") == pytest.approx([0, 0], abs=0.01)
    assert max(recovered("coded-filtered")) < 0.1 and max(recovered("coded-lora")) < -0.25


def domains(variant: transfer.VariantTransfer) -> tuple[float, float]:
    """The change in per cent of the base, in domain and out of domain."""
    return variant.in_domain.change(), variant.out_of_domain.change()


def contrasts(part: str, words: str) -> list[Contrast]:
    """The contrasts of the question that begins with the words or, where none does, that holds them."""
    asked = CAUSE[part].questions
    (question,) = [one for one in asked if one.ask.startswith(words)] or [one for one in asked if words in one.ask]
    return question.contrasts


def drift(variant: str) -> float:
    values = VARIANTS["default"][variant].drift
    return sum(values) / len(values)


def change(variant: str, part: str = "default") -> float:
    return VARIANTS[part][variant].contrast.change()
