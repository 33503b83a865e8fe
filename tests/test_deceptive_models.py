"""Retrievers that load without a word and then are not what they seem: each ends in one line, or is made right."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core import costs
from stages.core.errors import UserError
from stages.models import architectures, encoding, reloading
from stages.models.model_folder import Description
from stages.training import loop, retriever
from tests import kinds
from tests.plants import seed_run

NOUNS = ["boat", "house", "clock", "river"]
TRIPLETS = {
    "anchor": [f"What is a {noun}?" for noun in NOUNS],
    "positive": [f"The {noun} is seen here by many people" for noun in NOUNS],
    "negative": [f"Nothing of a {noun} but a stone" for noun in NOUNS],
}


def made(folder, name, prompts=None, **config):
    """The checkpoint of a body of random weights under mean pooling."""
    kinds.bert(folder, name=name, **config)
    kinds._modules(folder, "Normalize", prompts=prompts or {})
    architectures.build(folder, Description("symmetric"))
    return folder


@pytest.mark.parametrize("architecture", ["symmetric", "asymmetric"])
def test_vectors_that_depend_on_the_batch_are_refused(architecture, tmp_path):
    """FNet mixes a text with the padding behind it: alone it has another vector than beside a longer one."""
    kinds.bert(tmp_path / "fnet", name="FNet")
    kinds._modules(tmp_path / "fnet", "Normalize")
    with pytest.raises(UserError, match="the vector of a query depends on the texts that it is encoded with, by"):
        architectures.build(tmp_path / "fnet", Description(architecture))


def test_a_sparse_attention_that_a_short_text_ends_is_full_from_the_first(tmp_path):
    """BigBird's: a long text has the same vector before and after a short one, here and where it is loaded plainly."""
    from sentence_transformers import SentenceTransformer

    sparse = {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1}
    folder = made(tmp_path / "big", "BigBird", **sparse)
    for model in (encoding.load_encoder(folder), SentenceTransformer(str(folder), device="cpu")):
        long, short = "the old boat is seen here " * 20, "a boat"
        before, _, after = (model.encode_document(text) for text in (long, short, long))
        assert np.abs(before - after).max() < 1e-6


def test_training_leaves_the_special_tokens_of_config_json(tmp_path, monkeypatch):
    """RoBERTa counts positions from its padding token, 1 in config.json; the tokenizer's is 0."""
    monkeypatch.setattr(costs, "latencies", lambda **models: {})
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(TRIPLETS), tmp_path / "seed-3.parquet")
    sizes = {"max_position_embeddings": 64, "vocab_size": 30522, "type_vocab_size": 1}
    folder = made(tmp_path / "base", "Roberta", pad_token_id=1, **sizes)
    block, recipe = {"kind": "full", "lr": 0.003}, {"loss": {"kind": "in-batch", "hard_negatives": True}, "epochs": 1}
    run = seed_run(folder, block, recipe, tmp_path / "seed-3.parquet")
    loop.train(run, tmp_path / "work", retriever.prepare, retriever.deployed, reloading.check)
    for name in (folder, tmp_path / "work/model"):
        assert json.loads((name / "config.json").read_text())["pad_token_id"] == 1


@pytest.mark.parametrize(
    "shipped, given, said",
    [
        ({"query": "query: ", "passage": "passage: "}, {}, ["passage"]),
        ({"query": "query: ", "passage": "passage: "}, {"passage": ""}, []),
        ({"query": "query: ", "document": "passage: "}, {}, []),
        ({"query": "query: "}, {}, []),
        ({"search_query": "q: ", "search_document": "d: "}, {}, ["query", "passage"]),
    ],
)
def test_prompts_of_names_that_the_library_does_not_look_for_are_told(shipped, given, said, tmp_path, capsys):
    kinds.bert(tmp_path / "x")
    kinds._modules(tmp_path / "x", "Normalize", prompts=shipped)
    architectures.build(tmp_path / "x", Description("symmetric", prompts=given))
    lines = capsys.readouterr().err.splitlines()
    told = [line.split()[6].rstrip(":") for line in lines if line.startswith("warning: prompts: nothing stands before")]
    assert told == said


def test_a_module_that_the_library_loads_and_cannot_run_is_one_line(tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from transformers import AutoTokenizer

    kinds.bert(tmp_path / "bert")
    words = WordEmbeddings(AutoTokenizer.from_pretrained(tmp_path / "bert"), torch.randn(30522, 8))
    model = SentenceTransformer(modules=[words, Pooling(8, "mean")], device="cpu")
    model.save_pretrained(str(tmp_path / "x"), create_model_card=False)
    shutil.rmtree(tmp_path / "bert")
    with pytest.raises(UserError, match=r"source: the libraries do not load this model \(TypeError: "):
        architectures.build(tmp_path / "x", Description("symmetric"))
