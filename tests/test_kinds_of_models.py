"""Whatever the kind of retriever: its checkpoint's vectors are those that the library gives for what was fetched."""

import json

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.models import architectures, caps, encoding, lengths, model_folder, reloading, settings, towers
from stages.models.model_folder import Description
from tests import kinds

TEXTS = [
    "What is the CAPITAL of France?",
    "a",
    "the old boat " * 150,
    "  spaces  are kept as they are ",
    "法国的首都是巴黎。",
]
WITHOUT_CODE = [kind for kind in kinds.KINDS if not kind.startswith("own-code")]


@pytest.fixture(scope="session")
def fetched(tmp_path_factory):
    """A function that gives the folder of a kind of model as it was fetched, made once."""
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = kinds.make(kind, tmp_path_factory.mktemp(kind) / "fetched")
        return made[kind]

    return get


def built(source, folder, architecture="symmetric", **options):
    """The checkpoint that is made of a fetched folder, loaded as the stages load it."""
    import shutil

    shutil.copytree(source, folder)
    architectures.build(folder, Description(architecture, **options))
    return encoding.load_encoder(folder)


def of_the_library(folder, remote_code=False):
    """What the library gives for a folder in float32 at unit length where it compares by cosine: queries, passages."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), trust_remote_code=remote_code, model_kwargs={"dtype": torch.float32})
    usable = caps.usable_positions(model[0].model.config.to_dict()) if hasattr(model[0], "model") else None
    if usable and model.max_seq_length > usable:
        model.max_seq_length = usable  # beyond it RoBERTa's kind fails
    made = [encode(TEXTS) for encode in (model.float().encode_query, model.encode_document)]
    unit = model.similarity_fn_name == "cosine"
    return [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if unit else vectors for vectors in made]


def of_ours(model, budget=256):
    return [encoding.encode(model, TEXTS, budget, role=role) for role in towers.ROLES]


@pytest.mark.parametrize("kind", WITHOUT_CODE)
@pytest.mark.parametrize("architecture", ["symmetric", "asymmetric"])
def test_vectors_are_those_of_encode_query_and_encode_document(kind, architecture, fetched, tmp_path):
    theirs, ours = of_the_library(fetched(kind)), of_ours(built(fetched(kind), tmp_path / "made", architecture))
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine.shape == expected.shape and mine.dtype == np.float32
        assert np.abs(mine - expected).max() < 1e-5 * max(1, np.linalg.norm(expected, axis=1).max())


def test_the_kinds_differ_where_the_faults_were(fetched):
    """Without its prompt, its lower case or its norms each of these has other vectors: the test above can fail."""
    from sentence_transformers import SentenceTransformer

    for kind in ("prompts", "instructor"):
        model = SentenceTransformer(str(fetched(kind)))
        assert np.abs(model.encode_query(TEXTS) - model.encode_query(TEXTS, prompt="")).max() > 0.05
    lower = SentenceTransformer(str(fetched("lower")))
    assert np.abs(lower.encode_query(["CAPITAL"]) - lower.encode_query(["capital"])).max() < 1e-6
    norms = np.linalg.norm(SentenceTransformer(str(fetched("dot"))).encode_query(TEXTS), axis=1)
    assert norms.max() > 1.05 * norms.min() and norms.min() > 2
    first, again = of_the_library(fetched("decoder"))[0][[0, 1]]
    assert np.abs(first - again).max() > 0.05


def test_stored_half_precision_is_trained_and_saved_in_single(fetched, tmp_path):
    import torch
    from safetensors.torch import load_file

    model = built(fetched("half"), tmp_path / "made")
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    saved, stored = (load_file(folder / "model.safetensors") for folder in (tmp_path / "made", fetched("half")))
    assert {name: weights.dtype for name, weights in stored.items()} == dict.fromkeys(stored, torch.bfloat16)
    assert all(torch.equal(saved[name], weights.float()) for name, weights in stored.items())


def test_own_code_runs_only_where_it_is_allowed(fetched, tmp_path):
    for kind in ("own-code", "own-code-of-a-known-type"):
        for architecture in ("symmetric", "asymmetric", "cross-encoder", "late-interaction"):
            with pytest.raises(UserError, match="remote_code"):
                built(fetched(kind), tmp_path / f"{kind}-{architecture}", architecture)
        model = built(fetched(kind), tmp_path / kind, remote_code=True)
        assert type(model[0].model).__name__ == "TheirModel"
        for mine, theirs in zip(of_ours(model), of_the_library(fetched(kind), True), strict=True):
            assert np.abs(mine - theirs).max() < 1e-5


def test_prompts_of_params_take_the_place_of_the_models_own(fetched, tmp_path):
    from sentence_transformers import SentenceTransformer

    prompts = {"query": "find: ", "passage": ""}
    model = built(fetched("prompts"), tmp_path / "made", prompts=prompts)
    plain = SentenceTransformer(str(fetched("prompts")))
    expected = plain.encode(TEXTS, prompt="find: "), plain.encode(TEXTS, prompt="")
    again = SentenceTransformer(str(tmp_path / "made"))
    for mine, theirs, loaded in zip(
        of_ours(model), expected, (again.encode_query(TEXTS), again.encode_document(TEXTS)), strict=True
    ):
        assert np.abs(mine - theirs).max() < 1e-6 and np.abs(loaded - theirs).max() < 1e-6
    assert (settings.prompt(model, "query"), settings.prompt(model, "document")) == ("find: ", "")
    assert model_folder.describe(tmp_path / "made").prompts == prompts


def test_a_similarity_may_be_asked_for(fetched, tmp_path):
    unit = of_ours(built(fetched("dot"), tmp_path / "unit", similarity="cosine"))[0]
    raw = of_ours(built(fetched("dot"), tmp_path / "raw"))[0]
    assert np.allclose(np.linalg.norm(unit, axis=1), 1) and np.linalg.norm(raw, axis=1).min() > 2
    assert (
        json.loads((tmp_path / "unit/config_sentence_transformers.json").read_text())["similarity_fn_name"] == "cosine"
    )
    with pytest.raises(UserError, match="similarity: this model ranks by euclidean"):
        folder = kinds.make("dense", tmp_path / "fetched")
        (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "euclidean"}')
        built(folder, tmp_path / "other")


def test_queries_and_passages_are_cut_apart(fetched, tmp_path):
    from sentence_transformers import SentenceTransformer

    model = built(fetched("prompts"), tmp_path / "made", query_tokens=8, passage_tokens=24)
    theirs = SentenceTransformer(str(fetched("prompts")))
    for role, length, vectors in zip(towers.ROLES, (8, 24), of_ours(model), strict=True):
        theirs.max_seq_length = length
        assert np.abs(vectors - (theirs.encode_query, theirs.encode_document)[role != "query"](TEXTS)).max() < 1e-6
        assert caps.of(model, role) == length
    caps.cut(model, 16, None, 12)  # as a corpus says it
    assert [caps.of(model, role) for role in towers.ROLES] == [16, 12]


def test_a_model_is_not_given_more_tokens_than_it_can_use(fetched, tmp_path):
    assert built(fetched("offset"), tmp_path / "own").max_seq_length == 62  # its tokenizer says 512, its table has 64
    assert np.isfinite(of_ours(encoding.load_encoder(tmp_path / "own"))[1]).all()
    with pytest.raises(UserError, match=r"^tokens: 63 is more than the 62 positions"):
        built(fetched("offset"), tmp_path / "longer", tokens=63)
    with pytest.raises(UserError, match=r"^passage_tokens: 600 is more than the 512"):
        built(fetched("prompts"), tmp_path / "far", passage_tokens=600)
    with pytest.raises(UserError, match=r"^tokens: a StaticEmbedding reads texts whole"):
        built(fetched("static"), tmp_path / "whole", tokens=64)
    assert built(fetched("prompts"), tmp_path / "kept").max_seq_length == 48  # its own, below what it could


@pytest.mark.parametrize(
    ("config", "usable"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "pad_token_id": 1}, 4096),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512}, 512),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "xlnet", "max_position_embeddings": -1}, None),
        ({}, None),
    ],
)
def test_usable_positions_are_those_of_the_kind(config, usable):
    assert caps.usable_positions(config) == usable


@pytest.mark.parametrize("kind", ["prompts", "decoder", "offset"])
def test_lengths_are_those_that_the_model_reads(kind, fetched, tmp_path):
    model = built(fetched(kind), tmp_path / "made")
    for role in towers.ROLES:
        made = lengths.in_tokens(model, TEXTS, role)
        for text, read in zip(TEXTS, made.read, strict=True):
            theirs = model.preprocess([text], prompt=settings.prompt(model, role) or None, task=role)["input_ids"]
            assert theirs.shape[1] == read
        limit = caps.of(model, role)
        assert made.cut == sum(read == limit for read in made.read) == 1


def test_a_text_that_just_fits_is_not_cut(tiny_model):
    model = encoding.load_encoder(tiny_model)
    for words in (1, 2, 29):
        model.max_seq_length = words + 2
        assert lengths.in_tokens(model, ["boat " * words, "boat " * (words + 1)], "query").cut == 1


def test_a_saved_model_that_is_another_one_is_refused(fetched, tmp_path):
    import torch

    model = built(fetched("prompts"), tmp_path / "made")
    reloading.check(model, tmp_path / "made")
    with torch.no_grad():
        next(model.parameters()).mul_(1.01)
    with pytest.raises(UserError, match="the saved model is not the one that was measured"):
        reloading.check(model, tmp_path / "made")
    other = encoding.load_encoder(tmp_path / "made")
    other.prompts["query"] = "other: "
    with pytest.raises(UserError, match="was saved with the prompt of a query 'other: ' and loads with 'query: '"):
        reloading.check(other, tmp_path / "made")
