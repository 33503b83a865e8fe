"""Where the base has 0, nothing is a per cent of it: a dash, or the change in the measure's unit, everywhere."""

import json

import pytest

from stages import evaluate
from stages.analysis.contrasts import Contrast
from stages.evaluation.results import Pair
from stages.reporting import answer, changes, contrasts, figures, markdown, results_tables, variants_table
from stages.reporting.page import sections
from tests import plants
from tests.conftest import STUDY
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN
from tests.test_answer import LOGS

RISE = plants.comparison(0.12, low=0.1, high=0.14, verdict="better")
NEW = plants.result("full-hard", RISE, base=0.0, value=0.12, by_seed_run={"seed-13": 0.12, "seed-14": 0.12})
RESULTS = [plants.result("base", value=0.0), NEW, plants.result("full-hard", RISE, OUT_OF_DOMAIN)]


def test_in_words():
    assert [changes.size(NEW), changes.ends(NEW)] == ["+0.1200", "+0.1000 to +0.1400"]
    assert [changes.signed(NEW.change()), changes.interval(NEW), changes.with_interval(NEW)] == ["–", "", "–"]
    known = RESULTS[2]
    assert [changes.size(known), changes.ends(known)] == ["+24.0 %", "+20.0 to +28.0"]
    assert changes.with_interval(known) == "+24.0 (+20.0 to +28.0)" and changes.detectable(known) == "4.0"
    assert changes.size(RESULTS[0]) == changes.ends(RESULTS[0]) == changes.detectable(NEW) == "–"


def test_tables_have_a_dash_and_say_why():
    table = markdown.table(variants_table.variants(STUDY, RESULTS))
    assert "| full-hard | **0.1200** | – | better | 0.6200 | +24.0 (+20.0 to +28.0) | better |" in table.replace(
        "**0.6200**", "0.6200"
    )
    assert "`base` has 0 on RR@10, in_domain test" in table and "out_of_domain test:" not in table
    pair = Pair("full-hard", "base", **IN_DOMAIN.model_dump(), value=0.12, base=0.0, comparison=RISE)
    assert "| 0.1200 against 0.0000 | – | better |" in markdown.document(results_tables.pairs(STUDY, [pair], {}))
    assert "| full-hard | 1 | – | 10 / 20 / 1170 |" in markdown.table(variants_table.sureness(STUDY, RESULTS))
    assert r"\textbf{0.1200} & -- &  & better" in variants_table.paper(STUDY, RESULTS)


def test_sentences_have_the_change_in_the_measures_unit():
    words = markdown.document(answer.paragraphs(STUDY, RESULTS, LOGS))
    assert "goes from 0.0000 to 0.1200: +0.1200 (95 % interval +0.1000 to +0.1400), better." in words
    study = Contrast("x", 0.0, RISE)
    assert contrasts.change(study) == "+0.1200 (+0.1000 to +0.1400; p 1), better"
    assert contrasts.cells(study) == ["–", "", "better"] and contrasts.detectable(study) == ""


def test_dvc_metrics_have_it_too():
    metrics = evaluate._metrics(STUDY.report, ["base", "full-hard"], RESULTS)
    assert metrics["full-hard"] == {
        "RR@10": 0.12, "vs base": 0.12, "out_of_domain test RR@10": 0.62, "out_of_domain test vs base %": 24.0
    }  # fmt: skip
    assert metrics["base"] == {"RR@10": 0.0, "vs base %": 0.0}


def test_pictures_and_the_page_draw_words_in_its_place():
    drawn = figures.changes(["full-hard", "lora-hard"], {"x": {"full-hard": NEW}})
    assert {"+0.1200 on a base of 0", "no run"} <= {text.get_text() for text in drawn.axes[0].texts}
    assert not [bar for bar in drawn.axes[0].patches if bar.get_height() == pytest.approx(0.62)]
    page = sections.changes(STUDY, RESULTS)
    words = json.dumps(page["charts"])
    assert "+0.1200 on a base of 0" in words and '"change": 24' in words and "NaN" not in words
    reading = sections.answer(STUDY, RESULTS, LOGS)["readings"][0]
    assert (reading["change"], reading["interval"]) == ("+0.1200", "95 % interval +0.1000 to +0.1400")
