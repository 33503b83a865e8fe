"""How models read texts: what their files say is what the library does, and the report and the cards repeat it."""

import json
import shutil
from dataclasses import replace

import pytest

from stages.analysis.diagnosis import Cut, Diagnosis, Sample
from stages.models import local_settings
from stages.models.local_settings import Reading
from stages.reporting import markdown, model_usage, readings
from tests import plants
from tests.conftest import STUDY

E5 = Reading("query: ", "passage: ", "cosine", 64, 512)
PLAIN = Reading("", "", "dot", None, None)


@pytest.mark.parametrize(
    "settings, lengths",
    [
        ({"prompts": {"query": "query: ", "passage": "passage: "}}, {}),
        ({"prompts": {"s2p": "Instruct: find\nQuery:", "query": "q", "document": ""}}, {"query_length": 9}),
        ({"prompts": {"all": "both: "}, "default_prompt_name": "all"}, {"query_length": 9, "document_length": 17}),
        ({"prompts": {}, "similarity_fn_name": "dot"}, {"max_seq_length": 21}),
    ],
)
def test_a_reading_is_what_the_library_does(settings, lengths, tiny_model, tmp_path):
    from sentence_transformers import SentenceTransformer

    from stages.models import caps
    from stages.models import settings as loaded

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    for name, changed in {"config_sentence_transformers": settings, "sentence_bert_config": lengths}.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    model, read = SentenceTransformer(str(folder), device="cpu"), local_settings.reading(folder)
    assert [read.query_prompt, read.passage_prompt] == [loaded.prompt(model, role) for role in ("query", "document")]
    assert [read.query_tokens, read.passage_tokens] == [caps.of(model, role) for role in ("query", "document")]
    assert read.similarity == model.similarity_fn_name


def test_two_towers_are_read_from_their_own_folders(tiny_model, tmp_path):
    read = local_settings.reading(plants.two_towers(tiny_model, tmp_path / "towers"))
    assert (read.query_tokens, read.passage_tokens) == (32, 32) and local_settings.reading(tmp_path) is None


def diagnosed(**changed) -> Diagnosis:
    cut = {
        "base": {"in_domain": {"docs": Cut(1000, 234, 64), "test": Cut(50, 0, 64)}},
        "full-hard": {"in_domain": {"docs": Cut(1000, 234, 64), "test": Cut(50, 2, 16)}},
    }
    read = {"base": E5, "full-hard": replace(E5, trained_in="bfloat16"), "cross-lion": PLAIN}
    computed = {"base": "float32", "full-hard": "bfloat16", "cross-lion": "float16"}
    known = {"readings": read, "cut": cut, "computed": computed, **changed}
    return Diagnosis(Sample("in_domain", "test", "RR@10", 1, 1, 1, 1, 1, 1), {}, {}, {}, **known)


def test_the_table_has_prompts_limits_and_what_was_cut():
    lines = markdown.document(readings.table(STUDY, diagnosed())).splitlines()
    assert '| full-hard | `"query: "` | `"passage: "` | cosine | 64 | 512 | bfloat16 | bfloat16 |' in lines
    assert '| base | `"query: "` | `"passage: "` | cosine | 64 | 512 | – | float32 |' in lines
    assert "| cross-lion | – | – | dot | – | – | – | float16 |" in lines
    assert "| in_domain | passages | 64 | 234 of 1,000 | 23.4 | base, full-hard |" in lines
    assert "| in_domain | test queries | 16 | 2 of 50 | 4.0 | full-hard |" in lines
    whole = {"base": {"in_domain": {"docs": Cut(9, 0, None)}}}
    assert markdown.document(readings.table(STUDY, diagnosed(cut=whole))).endswith("Every text was read whole.\n")
    assert readings.table(STUDY, diagnosed(readings={})) == []


def test_many_passages_that_are_cut_and_any_query_are_warnings():
    assert readings.warnings(diagnosed()) == [
        "in_domain: 23.4 % of the passages are longer than the 64 tokens that the variants read of them",
        "in_domain: 2 of 50 test queries are longer than the 16 tokens that full-hard reads of them",
    ]
    few = {"base": {"in_domain": {"docs": Cut(1000, 100, 64), "test": Cut(50, 0, 64)}}}
    assert readings.warnings(diagnosed(cut=few)) == [] and readings.warnings(diagnosed(cut={})) == []


def test_cards_say_the_prompts():
    both = '`encode_query` and `encode_document` put `"query: "` before a query and `"passage: "` before a passage.'
    assert model_usage.words("symmetric", E5) == both
    assert model_usage.words("symmetric", PLAIN) == "Queries and passages take no prompt."
    assert model_usage.words("cross-encoder", Reading("find: ", "", None, 9, 9)).endswith('`"find: "` before a query.')
    assert "prefix" not in "".join(model_usage.words(name, None) for name in model_usage.WORDS)
