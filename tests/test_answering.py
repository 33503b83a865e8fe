"""The answer follows from the verdicts, in and out of domain, and says what it cost and what it rests on."""
import json

import pytest

from stages import params
from stages.reporting import advice

STUDY = params.load()
TRAINED = ["full-hard", "lora-hard"]


def entry(row, corpus, verdict, difference):
    return {"variant": row, "corpus": corpus, "split": "test", "measure": "RR@10", "base": 0.5, "difference": difference,
            "low": difference - 0.01, "high": difference + 0.01, "verdict": verdict, "queries": 40, "clusters": 12}


def entries(inside: dict, outside: dict = {}) -> list[dict]:
    size = {"better": 0.03, "worse": -0.05, "no difference": 0.001, "cannot tell": 0.004}
    return [entry(row, corpus, verdict, size[verdict] + 0.001 * (row == "full-hard"))
            for corpus, told in (("in_domain", inside), ("out_of_domain", outside)) for row, verdict in told.items()]


def answer(inside: dict, outside: dict = {}) -> tuple:
    found = advice.answer(entries(inside, outside), STUDY.report, TRAINED)
    return found["advice"], found["variant"]


@pytest.mark.parametrize("inside, outside, expected", [
    (["better", "better"], ["no difference", "cannot tell"], ("fine-tune", "full-hard")),
    (["better", "better"], ["worse", "cannot tell"], ("fine-tune", "lora-hard")),
    (["worse", "better"], ["worse", "worse"], ("fine-tune", "lora-hard")),
    (["worse", "no difference"], ["better", "better"], ("do not", None)),
    (["worse", "worse"], ["worse", "worse"], ("do not", None)),
    (["worse", "cannot tell"], ["better", "better"], ("cannot tell", "lora-hard")),
])
def test_the_verdicts_decide(inside, outside, expected):
    assert answer(dict(zip(TRAINED, inside)), dict(zip(TRAINED, outside))) == expected


def test_an_untouched_row_that_is_better_is_no_reason_to_fine_tune():
    assert answer({"bm25": "better", "full-hard": "worse"})[0] == "do not"


def test_the_sentences_name_interval_cost_and_limits():
    log = {"seed_runs": [{"steps": 32, "trainable": 147456, "total": 22860672}]}
    logs = {row: log for row in TRAINED} | {"base": {"seed_runs": []}}
    told = advice.sentences(entries(dict.fromkeys(TRAINED, "better"), dict.fromkeys(TRAINED, "worse")), STUDY, logs)
    for words in ("**Fine-tune: `full-hard`.**", "0.5000 becomes 0.5310 on in_domain test, +6.2 %", "+4.2 to +8.2",
                  "**It is worse there:**", "147,456 weights", "One seed (13)", "40 queries in 12 clusters"):
        assert words in told, words
    unsure = advice.sentences(entries(dict.fromkeys(TRAINED, "cannot tell")), STUDY, logs)
    assert unsure.startswith("**Cannot tell with 40 queries.**")
    nothing = advice.sentences([], STUDY, logs)
    assert nothing.startswith("**No answer yet:**") and json.dumps(nothing)
