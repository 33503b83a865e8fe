"""Rerankers of the kinds that users have: their scores are the library's, before and after training and saving."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import UserError
from stages.models import (
    architectures,
    cross_encoder,
    late_interaction,
    local_settings,
    model_folder,
    reloading_rerankers,
)
from stages.models.model_folder import Description
from stages.training import loop
from stages.training.reranker import cross_encoder as cross_training
from stages.training.reranker import late_interaction as late_training
from tests import reranker_kinds
from tests.plants import seed_run

QUERIES = ["what is known of the red boat", "old clock", "  green house. ", "why " * 60, "a b c d " * 5, "x"]
PASSAGES = ["The red boat, is seen near the market.", "The old clock " * 30, "A green house.", "word " * 60, "", "..."]
PAIRS = [(query, passage) for query in QUERIES for passage in PASSAGES]
USABLE = {"xlm-roberta": 62}  # where the library alone would read beyond the last position


def built(kind: str, folder, **options):
    """Make a checkpoint of a kind in a folder, which may hold what was fetched already; the module of its model."""
    architecture = "late-interaction" if kind in reranker_kinds.LATE else "cross-encoder"
    fetched = folder if folder.exists() else reranker_kinds.make(kind, folder)
    architectures.build(fetched, Description(architecture, **options))
    return architectures.load_module(architecture)


def of_library(kind: str, folder) -> np.ndarray:
    """The scores of PAIRS by the library alone, in float32."""
    import torch
    from sentence_transformers import CrossEncoder, MultiVectorEncoder

    exact = {"model_kwargs": {"dtype": torch.float32}, "local_files_only": True, "device": "cpu"}
    if kind in reranker_kinds.LATE:
        model = MultiVectorEncoder(str(folder), **exact)
        return model.similarity(model.encode_query(QUERIES), model.encode_document(PASSAGES)).numpy().ravel()
    model = CrossEncoder(str(folder), **exact)
    model.max_seq_length = USABLE.get(kind, model.max_seq_length)
    return model.predict(PAIRS, activation_fn=torch.nn.Identity())


@pytest.mark.parametrize("kind", reranker_kinds.KINDS)
def test_scores_are_those_of_the_library_for_the_folder_that_was_fetched(kind, tmp_path):
    theirs = of_library(kind, reranker_kinds.make(kind, tmp_path / "fetched"))
    models = built(kind, shutil.copytree(tmp_path / "fetched", tmp_path / "built"))
    model = models.load(tmp_path / "built")
    for budget in (1, 100, 4096):
        scores = models.score(model, *zip(*PAIRS, strict=True), budget)
        assert np.abs(scores - theirs).max() < 1e-5 < np.ptp(theirs)
    assert np.abs(of_library(kind, tmp_path / "built") - theirs).max() < 1e-5


def test_a_colbert_keeps_markers_expansion_skiplist_and_projection(tmp_path):
    built("pylate", tmp_path / "model")
    model = late_interaction.load(tmp_path / "model")
    query, passage = model.encode_query("red boat"), model.encode_document("red, boat.")
    marked = model.preprocess(["red, boat."], prompt=model.prompts["document"], task="document")["input_ids"][
        0
    ].tolist()
    assert query.shape == (12, 16) and passage.shape == (len(marked) - 2, 16)  # without the comma and the full stop
    assert marked[1] == model.tokenizer.convert_tokens_to_ids("[D] ")
    assert len(model.encode_query("red " * 90)) == 12 and len(model.encode_document("red " * 90)) == 24
    read = local_settings.reading(tmp_path / "model")
    assert (read.query_tokens, read.passage_tokens, read.query_prompt) == (12, 24, "[Q] ")


def test_a_colbert_of_random_weights_keeps_all_but_the_weights(tmp_path):
    models = [built("early-pylate", tmp_path / name, random=drawn) for name, drawn in (("own", False), ("drawn", True))]
    own, drawn = (models[0].load(tmp_path / name) for name in ("own", "drawn"))
    assert own.prompts == drawn.prompts and own[0].query_expansion == drawn[0].query_expansion
    assert list(map(type, own)) == list(map(type, drawn))
    assert not (own[1].linear.weight == drawn[1].linear.weight).any()


def test_lengths_prompts_and_dimension_of_a_checkpoint_come_instead_of_the_models_own(tmp_path):
    options = {"query_tokens": 8, "passage_tokens": 20, "prompts": {"query": "ask: "}, "dimension": 16}
    built("pylate", tmp_path / "model", **options)
    model = late_interaction.load(tmp_path / "model")
    assert len(model.encode_query("red")) == len(model.encode_query("red " * 90)) == 8
    assert len(model.encode_document("red " * 90)) == 20
    assert model.prompts == {"query": "ask: ", "document": "[D] "}
    built("native", tmp_path / "native", tokens=9)
    native = late_interaction.load(tmp_path / "native")
    assert len(native.encode_query("red")) == 9 and len(native.encode_query("red " * 90)) == 9
    built("bert", tmp_path / "cross", prompts={"query": "ask: "}, tokens=40)
    cross = cross_encoder.load(tmp_path / "cross")
    assert cross_encoder.prompt(cross) == "ask: " and cross.max_seq_length == 40


REFUSED = {
    "tokens: 63 is more than the 62 positions": ("xlm-roberta", {"tokens": 63}),
    "tokens: 513 is more than the 512 positions": ("pylate", {"tokens": 513}),
    "dimension: this model is trained with 16 numbers a token": ("pylate", {"dimension": 8}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_model_cannot_do_is_one_line(message, tmp_path):
    kind, options = REFUSED[message]
    with pytest.raises(UserError, match=f"^{message}"):
        built(kind, tmp_path / "model", **options)


T5 = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2}
UNFIT = {
    "28 such would be drawn at random below the head": ("T5EncoderModel", "T5Config", T5),
    "no bert.pooler.dense.bias, and 2 such would be drawn": ("BertForMaskedLM", "BertConfig", {}),
    "its head has more labels than one": ("BertForSequenceClassification", "BertConfig", {"num_labels": 2}),
    "the head of a BertForMultipleChoice is trained for something": ("BertForMultipleChoice", "BertConfig", {}),
}


@pytest.mark.parametrize("message", UNFIT)
def test_a_body_of_which_more_than_the_head_is_drawn_and_another_head_are_one_line(message, tmp_path):
    name, config, more = UNFIT[message]
    folder = reranker_kinds.weights_of(tmp_path / "model", name, config, **more)
    with pytest.raises(UserError, match=f"^source: .*{message}"):
        architectures.build(folder, Description("cross-encoder"))


def test_a_language_model_is_no_reranker_without_its_answers_or_a_template_for_pairs(tmp_path):
    reranker_kinds.language_model(tmp_path / "bare", None)
    for name in ("modules.json", "config_sentence_transformers.json"):
        (tmp_path / "bare" / name).unlink()
    with pytest.raises(UserError, match="architecture: cross-encoder needs an encoder"):
        architectures.build(tmp_path / "bare", Description("cross-encoder"))
    reranker_kinds.language_model(tmp_path / "roles", "{{ messages[0].role }}")
    with pytest.raises(UserError, match="cannot carry a 'query'/'document' pair"):
        architectures.build(tmp_path / "roles", Description("cross-encoder"))


def test_a_head_of_own_code_is_drawn_whole_from_its_seed(tmp_path):
    folder = reranker_kinds.own_body(tmp_path / "model")
    with pytest.raises(UserError, match="remote_code: "):
        architectures.build(folder, Description("cross-encoder"))
    architectures.build(folder, Description("cross-encoder", remote_code=True))
    heads = [cross_encoder.load(folder, seed).model.classifier for seed in (3, 3, 4)]
    assert (heads[0].weight == heads[1].weight).all() and not (heads[0].weight == heads[2].weight).all()
    assert not heads[0].bias.any()


def test_a_folder_that_gives_other_scores_or_a_score_that_depends_on_its_batch_is_one_line(tmp_path):
    from safetensors.torch import load_file, save_file

    built("pylate", tmp_path / "model")
    model = late_interaction.load(tmp_path / "model")
    late_interaction.check_saved(model, tmp_path / "model")
    path = tmp_path / "model/1_Dense/model.safetensors"
    save_file({name: values.abs() for name, values in load_file(path).items()}, path)
    with pytest.raises(UserError, match="is not the one that was measured: the scores of pairs differ by"):
        late_interaction.check_saved(model, tmp_path / "model")
    moved = lambda queries, passages, budget: np.full(len(queries), 1.0 + 0.01 * (budget == 1))  # noqa: E731
    with pytest.raises(UserError, match="a pair's score depends on the pairs that it is scored with"):
        reloading_rerankers.check(tmp_path, moved, lambda queries, passages: np.ones(len(queries)))


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    """Eight triplets, for seed 3."""
    path = tmp_path_factory.mktemp("triplets") / "seed-3.parquet"
    texts = {"anchor": "query {}", "positive": "found, query {}.", "negative": "nothing {}"}
    pq.write_table(pa.table({name: [text.format(at) for at in range(8)] for name, text in texts.items()}), path)
    return path


def a_run(kind: str, tuning: str, folder, triplets):
    """A seed run of two steps on a checkpoint of a kind, the module of its model, and of its training."""
    models = built(kind, folder)
    late = kind in reranker_kinds.LATE
    layers = {"modernbert": ["Wqkv"], "language-model": ["q_proj"]}.get(kind, ["query", "value"])
    block = {"kind": "lora", "lr": 0.01, "rank": 2, "lora_alpha": 4, "modules": layers}
    block = block if tuning == "lora" else {"kind": "full", "lr": 0.001}
    loss = {"kind": "in-batch", "scale": 20.0, "hard_negatives": True} if late else {"kind": "pointwise"}
    run = seed_run(folder, block, {"loss": loss, "epochs": 1}, triplets)
    return run, models, late_training if late else cross_training


TRAINED = [
    ("pylate-half", "full"),
    ("stanford", "lora"),
    ("half", "lora"),
    ("dense-head", "lora"),
    ("prompted", "full"),
]


@pytest.mark.parametrize("kind, tuning", [*TRAINED, ("language-model", "lora")])
def test_a_trained_reranker_is_what_was_measured_when_it_is_loaded_plainly(
    kind, tuning, tmp_path, triplets, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run, models, training = a_run(kind, tuning, tmp_path / "base", triplets)
    before = of_library(kind, tmp_path / "base")
    (tmp_path / "work").mkdir()
    loop.train(run, tmp_path / "work", training.prepare, training.deployed, models.check_saved)
    folder = tmp_path / "work/model"
    scores = models.score(models.load(folder), *zip(*PAIRS, strict=True), 100)
    theirs = of_library(kind, folder)
    assert np.abs(scores - theirs).max() < 1e-5 < 1e-3 < np.abs(before - theirs).max()
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    assert model_folder.describe(folder) == model_folder.describe(tmp_path / "base")
    settings = [
        json.loads((at / "config_sentence_transformers.json").read_text()) for at in (folder, tmp_path / "base")
    ]
    assert settings[0] == settings[1]


def test_texts_are_trained_on_as_they_are_scored(tmp_path, triplets):
    run, _, training = a_run("early-pylate", "full", tmp_path / "late", triplets)
    trainer = training.prepare(run, tmp_path).trainer
    rows = [{"anchor": "red boat", "positive": "A boat, red."}, {"anchor": "why " * 40, "positive": "word " * 60}]
    read = trainer.data_collator(rows)
    model = trainer.model
    for column, task in (("anchor", "query"), ("positive", "document")):
        texts = [row[column] for row in rows]
        whole = model.preprocess(texts, prompt=model.prompts[task], task=task)
        assert model.prompts[task].startswith("[") and (read[f"{column}_input_ids"] == whole["input_ids"]).all()
        assert read[f"{column}_task"] == task
    assert read["anchor_query_expansion_positions"].any()
    run, _, training = a_run("prompted", "full", tmp_path / "cross", triplets)
    trainer = training.prepare(run, tmp_path).trainer
    batch = trainer.data_collator([{"query": "red", "passage": "boat", "label": 1.0}])
    assert batch["prompt"] == cross_encoder.prompt(trainer.model) == "Represent this query: "


@pytest.mark.parametrize("kind", ["pylate", "bert"])
def test_however_many_devices_there_are_one_is_trained_on(kind, tmp_path, triplets, monkeypatch):
    from functools import cached_property

    from transformers import TrainingArguments

    found = TrainingArguments._setup_devices.func

    def several(arguments):
        device = found(arguments)
        arguments._n_gpu = 4
        return device

    faked = cached_property(several)
    faked.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", faked)
    assert TrainingArguments("x", per_device_train_batch_size=4).train_batch_size == 16
    run, _, training = a_run(kind, "full", tmp_path / "model", triplets)
    assert training.prepare(run, tmp_path).trainer.args.train_batch_size == 4


def test_a_body_in_a_folder_of_its_own_is_found(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder / "0_Transformer")
    for name in ("modules.json", "1_Pooling", "2_Normalize", "config_sentence_transformers.json"):
        shutil.move(folder / "0_Transformer" / name, folder / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    architectures.build(folder, Description("cross-encoder", tokens=32))
    assert cross_encoder.load(folder, 3).max_seq_length == 32
