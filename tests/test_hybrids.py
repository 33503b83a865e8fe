"""Fine-tune, or just add BM25, or both: which fusions tell, what is compared for it, and words true of any verdict."""

import json
from dataclasses import replace

import pytest

from stages.evaluation import hybrids
from stages.evaluation import results as files
from stages.evaluation.comparison import VERDICTS
from stages.evaluation.results import Pair, Result
from stages.params.variants import ReciprocalRanks, WeightedSum
from stages.reporting import answer, markdown, variants_table
from stages.reporting import hybrids as words
from stages.reporting.training_logs import Fused, TrainingLog
from tests import plants
from tests.conftest import STUDY
from tests.plants import DEV, IN_DOMAIN, OUT_OF_DOMAIN
from tests.test_answer import LOGS, SIZES, results


def fused(**verdicts: str) -> list[Result]:
    """full-hard, chosen on dev, and these fusions with their verdicts against the base in domain."""
    names = [name.replace("_", "-") for name in verdicts]
    return [
        *results({"full-hard": 0.02, **dict.fromkeys(names, 0.01)}, {"full-hard": "better"}),
        *(
            plants.result(name, plants.comparison(SIZES[verdict], verdict=verdict))
            for name, verdict in zip(names, verdicts.values(), strict=True)
        ),
    ]


def compared(tuned: str, together: str, still: str) -> list[Pair]:
    """The three comparisons in domain with these verdicts."""
    asked = hybrids.Hybrids("hybrid", "full-hard", "hybrid-hard").asked
    return [
        plants.pair(*both, plants.comparison(SIZES[verdict], verdict=verdict))
        for both, verdict in zip(asked, (tuned, together, still), strict=True)
    ]


def said(found: list[Result], pairs: list[Pair], study=STUDY) -> str:
    return markdown.document(words.answered(study, found, pairs))


LEADS = {
    "better": "**In domain, full-hard does more than just adding bm25:** ",
    "worse": "**In domain, just adding bm25 does more than full-hard:** ",
    "no difference": "**In domain, full-hard and just adding bm25 differ by less than 2 %:** ",
    "cannot tell": "**Fine-tune, or just add bm25? These queries cannot tell:** ",
}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_first_words_are_the_verdict_of_fine_tuned_against_hybrid(verdict):
    told = said(fused(hybrid="better", hybrid_hard="better"), compared(verdict, "better", "cannot tell"))
    assert told.startswith(
        f"{LEADS[verdict]}`hybrid` adds bm25 to `base` and trains nothing: +6.0 % (+4.0 to +8.0), better. "
        "`full-hard` against `hybrid`: "
    )
    assert told.endswith(
        f"), {verdict}. Both together, `hybrid-hard`, against `hybrid`: +0.8 % (-1.2 to +2.8), cannot tell; against "
        "`full-hard`: +6.0 % (+4.0 to +8.0), better.\n"
    )


def test_both_together_come_first_where_they_beat_each():
    told = said(fused(hybrid="better", hybrid_hard="better"), compared("cannot tell", "better", "better"))
    assert told.startswith("**In domain, full-hard and bm25 together do more than either:** `hybrid` adds bm25")


def test_a_hybrid_that_is_missing_is_told():
    assert said(fused(), []) == (
        "**Fine-tune, or just add BM25?** This study does not tell: no hybrid of `base` was measured here; a block of "
        "`fusions` makes one.\n"
    )
    told = said(fused(hybrid="worse"), compared("better", "better", "better")[:1])
    assert told.startswith(LEADS["better"]) and "-10.0 % (-12.0 to -8.0), worse." in told
    assert told.endswith("No hybrid of `full-hard` was measured, so whether both together do more is open.\n")
    alone = [one for one in fused(hybrid="better") if one.variant != "full-hard"]
    assert said(alone, []).startswith("**Just adding bm25:** `hybrid` adds bm25 to `base` and trains nothing: +6.0 %")
    assert said([], []) == "\n" or said([], []) == ""
    brief = json.loads(answer.as_json(STUDY, alone, []))["brief"]
    assert brief[0].startswith("No answer yet") and brief[1].startswith("Just adding bm25: hybrid adds bm25 to base")


def test_it_stands_second_in_the_report_and_in_brief_and_out_of_domain_too():
    pairs = compared("worse", "better", "no difference")
    pairs.append(plants.pair("full-hard", "hybrid", plants.comparison(-0.05, verdict="worse"), OUT_OF_DOMAIN))
    found = fused(hybrid="better", hybrid_hard="better")
    second = answer.paragraphs(STUDY, found, LOGS, pairs)[1]
    assert "worse; out of domain -10.0 % (-12.0 to -8.0), worse. Both" in markdown.inline(second)
    data = json.loads(answer.as_json(STUDY, found, pairs))
    brief = data["brief"]
    assert data["hybrids"] == {"of_base": "hybrid", "tuned": "full-hard", "of_tuned": "hybrid-hard"}
    assert brief[1] == markdown.inline(second).replace("`", "").replace("*", "")


def test_of_several_hybrids_dev_names_one_and_other_fine_tuned_members_do_not_count():
    fusions = {
        "hybrid": ReciprocalRanks(kind="rrf", of=["bm25", "base"]),
        "weighted": WeightedSum(kind="weighted", of=["base", "bm25"], weights=[1, 1]),
        "mixed": ReciprocalRanks(kind="rrf", of=["base", "full-hard", "lora-hard"]),
        "nested": ReciprocalRanks(kind="rrf", of=["hybrid", "full-hard"]),
    }
    study = STUDY.model_copy(update={"fusions": fusions})
    on_dev = {"full-hard": 0.02, "hybrid": 0.03, "weighted": 0.01, "mixed": 0.5, "nested": 0.1}
    in_domain = {"full-hard": "better", "hybrid": "worse", "weighted": "better", "mixed": "better", "nested": "better"}
    found = hybrids.named(study, results(on_dev, in_domain))
    assert found == hybrids.Hybrids("hybrid", "full-hard", "nested")
    assert found.asked == [("full-hard", "hybrid"), ("nested", "full-hard"), ("nested", "hybrid")]
    assert hybrids.beside(study, "nested", "full-hard") == ["bm25", "base"]


def test_a_pair_is_found_from_either_side():
    one = plants.pair("full-hard", "hybrid", plants.comparison(0.03, verdict="better"))
    assert files.between([one], IN_DOMAIN, "full-hard", "hybrid") == one
    mirrored = files.between([one], IN_DOMAIN, "hybrid", "full-hard")
    assert mirrored and (mirrored.value, mirrored.base) == (one.base, one.value)
    assert (mirrored.comparison.difference, mirrored.comparison.verdict) == (-0.03, "worse")
    same = replace(one, comparison=replace(one.comparison, verdict="no difference"))
    assert files.between([same], IN_DOMAIN, "hybrid", "full-hard").comparison.verdict == "no difference"
    assert files.between([one], DEV, "full-hard", "hybrid") is None


def test_hybrids_stand_below_the_base_with_what_they_are_made_of():
    table = variants_table.fusions(STUDY, fused(hybrid="better"))
    assert [line[0] for line in table.lines] == ["base", "hybrid", "hybrid-hard"]
    assert markdown.inline(table.notes[0]) == (
        "`hybrid` fuses bm25 and base (a weighted sum of scores). `hybrid-hard` fuses bm25 and full-hard (by "
        "reciprocal ranks, k = 60)."
    )
    assert variants_table.fusions(STUDY.model_copy(update={"fusions": {}}), []) is None


def test_the_weights_that_were_tried_are_shown_with_those_that_were_taken_bold():
    tried = [([at / 10, 1 - at / 10], at / 100) for at in range(11)]
    logs = {"base": TrainingLog("base"), "hybrid": TrainingLog("hybrid", fused=Fused(["bm25", "base"], [2, 3], tried))}
    table = words.weights(STUDY, logs)
    assert [*map(str, table.lines[0][:3])] == ["hybrid", "bm25 and base", "0.4 and 0.6"]
    assert markdown.table(table).splitlines()[2].split(" | ")[3:8] == [
        "0.0000",
        "0.0100",
        "0.0200",
        "0.0300",
        "**0.0400**",
    ]
    assert markdown.inline(table.notes[0]).startswith("RR@10 on in_domain dev at each weight of the first variant")
    assert words.weights(STUDY, {"base": TrainingLog("base")}) is None
