"""A card says what dvc.lock, the results and the training log say of its variant."""

import copy
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from stages.core.errors import UserError
from stages.evaluation.results import Result
from stages.params.report import Target
from stages.reporting import model_cards, model_record
from stages.reporting.training_logs import SeedRun, TrainingLog
from tests import plants
from tests.conftest import STUDY
from tests.planted_lock import BLOCKS, TRAINED, lock
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN

DEV = Target(corpus="in_domain", split="dev", measure="RR@10")


def results(variant: str, **changed: Any) -> list[Result]:
    compared = plants.comparison(0.05, verdict="better")
    return [
        plants.result(variant, compared, IN_DOMAIN, **changed),
        plants.result(variant, plants.comparison(-0.01), OUT_OF_DOMAIN, **changed),
        plants.result(variant, plants.comparison(0.02, verdict=None), DEV, **changed),
    ]


def log(*seeds: int) -> TrainingLog:
    entries = [{"step": 0, "RR@10": 0.6}, {"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "RR@10": 0.7}]
    return TrainingLog("x", [SeedRun(seed, 2, 5, 10, tensors=4, changed=3, log=entries) for seed in seeds])


def card(variant: str = "lora-hard", seed_run: str = "seed-13", stages=None, own=None, trained=None) -> str:
    record = model_record.read(lock() if stages is None else stages, variant, STUDY)
    found = results(variant) if own is None else own
    return model_cards.card(STUDY, seed_run, record, found, trained or log(13), "@misc{x}")


@pytest.mark.parametrize("variant", TRAINED)
def test_the_metadata_holds_the_results_and_the_text_the_recipe(variant):
    from huggingface_hub import ModelCard

    text = card(variant)
    data = ModelCard(text).data
    figures = {(e.dataset_type, e.dataset_split, e.metric_type): e.metric_value for e in data.eval_results}
    own = {(*one.target.model_dump().values(),): one.by_seed_run["seed-13"] for one in results(variant)}
    assert figures == own
    task = "text-ranking" if variant in STUDY.rerankers else "sentence-similarity"
    assert (data.library_name, data.pipeline_tag, data.license) == ("sentence-transformers", task, None)
    names, blocks = TRAINED[variant], json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert blocks == {
        "seed": 13,
        "checkpoint": BLOCKS["checkpoints"][names.checkpoint],
        "tuning": BLOCKS[names.tuning],
        "triplets": BLOCKS["triplets"][names.triplets],
        "recipe": BLOCKS["recipes"][names.recipe],
    }
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == [
        "How to load it",
        "Results",
        "What it was not tested on",
        "How it was trained",
        "How to get it again",
        "Licence",
        "Citation",
    ]
    assert not re.search(r"[^\n]\n## ", text) and "\n\n\n" not in text
    assert ("`adapter/`" in text) == (blocks["tuning"]["kind"] in ("lora", "ia3"))


@pytest.mark.parametrize(
    "variant, loader, words",
    [
        ("full-hard", "SentenceTransformer", "the inner product is the cosine"),
        ("towers-random", "SentenceTransformer", "`encode_query` computes with one tower"),
        ("late-random", "MultiVectorEncoder", "Queries are cut at 32 tokens, passages at 64"),
        ("cross-lion", "CrossEncoder", "reads query and passage together, cut at 64 tokens"),
    ],
)
def test_each_architecture_is_loaded_by_its_class(variant, loader, words):
    import sentence_transformers

    text = card(variant)
    snippet = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    compile(snippet, "snippet", "exec")
    assert f'{loader}("data/models/{variant}/seed-13")' in snippet and hasattr(sentence_transformers, loader)
    assert words in text
    first = "reranking the first 10 passages that `base` retrieves"
    assert (first in text) == (variant in STUDY.rerankers)


def test_hashes_verdicts_and_base_model_are_those_of_the_files():
    text = card()
    inputs = ["checkpoints/minilm", "triplets/hard", *(f"corpora/{corpus}" for corpus in STUDY.corpora)]
    for path in ("models/lora-hard", *inputs):
        assert re.search(rf"\| `data/{path}` \| `[0-9a-f]{{32}}\.dir` \|", text)
    assert "data/code" not in text
    change = "**better**, a change of +10.0 % (95 % interval +8.0 to +12.0)."
    assert f"- RR@10 of in_domain test against `base`: {change}" in text
    assert text.count(" against `base`: ") == 2  # none for dev, which has no verdict
    assert "base_model: sentence-transformers/all-MiniLM-L6-v2\n" in text and "is under Apache-2.0" in text


@pytest.mark.parametrize("source, base", [("package:x", None), ("hub:a/b@c0ffee", "a/b")])
def test_weights_that_nobody_knows_have_no_base_model_and_those_of_the_hub_have_theirs(source, base):
    stages = lock()
    changed = {"source": source, "sha256": "0" * 64}
    stages["checkpoint@minilm"]["params"]["params.yaml"]["checkpoints.minilm"] = (
        BLOCKS["checkpoints"]["minilm"] | changed
    )
    text = card(stages=stages)
    assert (f"\nbase_model: {base}\n" in text) == bool(base) == ("base_model" in text)
    assert "Apache" not in text and f"`{base or source}` trained on" in text


def test_one_seed_run_of_several_shows_its_own_value_next_to_the_mean():
    several = {"seed-13": 0.5, "seed-99": 0.123456}
    text = card(seed_run="seed-99", own=results("lora-hard", by_seed_run=several, spread=0.05), trained=log(13, 99))
    assert "value: 0.123456" in text and "mean ± standard deviation over seeds" in text and "± 0.0500" in text
    assert "# lora-hard, seed 99" in text and '"seed": 99' in text and "They are of all seeds." in text


def test_a_card_is_not_written_with_other_figures():
    stages = copy.deepcopy(lock())
    stages["train@lora-hard"]["outs"][0]["md5"] = "0" * 32 + ".dir"
    with pytest.raises(UserError, match="the models of 'lora-hard' are newer than their figures on in_domain"):
        card(stages=stages)
    del stages["train@lora-hard"]
    with pytest.raises(UserError, match=r"dvc\.lock: does not have train@lora-hard; run dvc repro$"):
        card(stages=stages)
    with pytest.raises(UserError, match="has no figures of seed-98"):
        card(seed_run="seed-98")
    with pytest.raises(UserError, match=r"lora-hard.json: does not have seed-13"):
        card(trained=log(99))


def test_a_card_of_a_mix_that_a_teacher_scored_names_all_corpora_and_blocks():
    stages = lock()
    scored, mixed = {"triplets": "both", "teacher": "data/checkpoints/late"}, {"first": "hard", "second": "theirs"}
    theirs = {"corpus": "elsewhere", "from": "corpora/elsewhere", "size": 9}
    stages["score@judged"] = {"params": {"params.yaml": {"scored.judged": scored}}}
    stages["mix@both"] = {"params": {"params.yaml": {"mixes.both": mixed}}}
    stages["triplets@theirs"] = {"params": {"params.yaml": {"triplets.theirs": theirs}}}
    said = stages["train@lora-hard"]["params"]["params.yaml"]
    said["retrievers.lora-hard"] = {**said["retrievers.lora-hard"], "triplets": "judged"}
    text = card(stages=stages)
    assert "of the collection `in_domain` and `elsewhere`" in text
    blocks = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert blocks["triplets"] == {**scored, "triplets": {"first": BLOCKS["triplets"]["hard"], "second": theirs}}


def test_an_adapter_that_stays_unmerged_is_said_to_and_one_that_is_merged_too():
    run = log(13).seed_runs[0]
    assert "The adapter is merged into the weights" in card()
    text = card(trained=TrainingLog("x", [replace(run, unmerged=True)]))
    assert "The adapter is unmerged: its layers, in `adapter/`, are put on the base's weights" in text
    assert "merged into the weights" not in text
