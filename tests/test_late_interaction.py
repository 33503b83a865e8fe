"""Late interaction: a built folder is the library's, MaxSim is its formula, and a score depends on its pair alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.core import fingerprint
from stages.core.errors import UserError
from stages.models import late_interaction, model_folder
from stages.models.model_folder import Description

QUERIES = ["what is known of the red boat", "old clock", "  green house  ", "why " * 60, "river", "a b c d " * 5]
PASSAGES = [
    "The red boat is seen near the north market.",
    "The old clock " * 30,
    "A green house.",
    "word " * 60,
    "",
    "x",
]


def built(body: Path, folder: Path, dimension: int, seed: int = 0) -> Path:
    shutil.copytree(body, folder)
    description = Description("late-interaction", tokens=32, query_tokens=8, dimension=dimension)
    late_interaction.build(folder, description, seed)
    model_folder.write(description, folder)
    return folder


@pytest.fixture(scope="module")
def late(tiny_model, tmp_path_factory):
    """The tiny model with a projection to 16 numbers, read from its folder."""
    return late_interaction.load(built(tiny_model, tmp_path_factory.mktemp("late") / "model", 16))


def test_a_built_folder_holds_the_body_and_a_projection_drawn_from_its_seed(tiny_model, tmp_path):
    import torch
    from sentence_transformers import MultiVectorEncoder
    from transformers import AutoModel

    torch.manual_seed(99)
    before = torch.get_rng_state()
    folders = [built(tiny_model, tmp_path / str(at), 16, seed) for at, seed in enumerate((0, 0, 1))]
    assert torch.equal(before, torch.get_rng_state())
    assert fingerprint.of_folder(folders[0]) == fingerprint.of_folder(folders[1])
    assert not (folders[0] / "1_Pooling").exists() and (folders[0] / "1_Dense/model.safetensors").exists()
    model = MultiVectorEncoder(str(folders[0]), local_files_only=True)
    other = late_interaction.load(folders[2])
    body = AutoModel.from_pretrained(tiny_model).state_dict()
    assert all(torch.equal(weights, body[name]) for name, weights in model[0].model.state_dict().items())
    drawn = model[1].linear.weight
    assert drawn.shape == (16, 32) and drawn.abs().max() <= 32**-0.5 and drawn.std() > 0.5 * 32**-0.5
    assert not torch.equal(drawn, other[1].linear.weight)
    query, passage = model.encode_query("word " * 60), model.encode_document("word " * 60)
    assert (query.shape, passage.shape) == ((8, 16), (32, 16))


def test_without_a_dimension_token_vectors_are_the_encoders_own(tiny_model, tmp_path):
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = late_interaction.load(built(tiny_model, tmp_path / "plain", 0))
    features = AutoTokenizer.from_pretrained(tiny_model)(["red boat"], return_tensors="pt")
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(tiny_model)(**features).last_hidden_state[0]
    expected = torch.nn.functional.normalize(expected, dim=1)
    assert torch.allclose(model.encode_document("red boat"), expected, atol=1e-6)


def test_maxsim_is_a_double_loop_and_the_librarys(late):
    pairs = [(query, passage) for query in QUERIES for passage in PASSAGES]
    asked = [late.encode_query(query.strip(), convert_to_numpy=True) for query in QUERIES]
    texts = [late.encode_document(passage, convert_to_numpy=True) for passage in PASSAGES]
    by_hand = [sum(max(float(a @ b) for b in passage) for a in query) for query in asked for passage in texts]
    theirs = late.similarity(late.encode_query([query.strip() for query in QUERIES]), late.encode_document(PASSAGES))
    for budget in (1, 64, 4096):
        done = []
        scores = late_interaction.score(late, *zip(*pairs, strict=True), budget, tick=done.append)
        assert scores.dtype == np.float32 and sum(done) == len(pairs)
        assert np.abs(scores - by_hand).max() < 1e-5
        assert np.abs(scores - theirs.numpy().ravel()).max() < 1e-5
    assert np.ptp(by_hand) > 0.1
    assert late_interaction.score(late, [], [], 64).shape == (0,)


def test_each_text_is_encoded_once_and_equal_pairs_are_equal_to_the_bit(late, monkeypatch):
    encoded = []
    for name in ("encode_query", "encode_document"):
        library = getattr(late, name)
        monkeypatch.setattr(
            late, name, lambda texts, library=library, **more: encoded.extend(texts) or library(texts, **more)
        )
    queries, passages = QUERIES * 5, [text + " " * at for at in range(5) for text in PASSAGES]
    scores = late_interaction.score(late, queries, passages, 100).reshape(5, -1)
    assert (scores == scores[0]).all()
    assert sorted(text.strip() for text in encoded) == sorted(text.strip() for text in QUERIES + PASSAGES)


def test_a_passage_scores_alike_alone_and_padded(late):
    alone = late_interaction.score(late, QUERIES, PASSAGES, 1)
    padded = late_interaction.score(late, QUERIES, PASSAGES, 4096)
    assert np.abs(alone - padded).max() < 1e-5


def test_lower_precision_stays_near(late):
    exact = late_interaction.score(late, QUERIES, PASSAGES, 64)
    assert np.abs(late_interaction.score(late, QUERIES, PASSAGES, 64, "bfloat16") - exact).max() < 0.2
    with pytest.raises(UserError, match="float16 needs a GPU"):
        late_interaction.score(late, QUERIES, PASSAGES, 64, "float16")


def test_a_folder_without_an_encoder_or_of_another_architecture_is_one_line(tiny_model, tmp_path):
    with pytest.raises(UserError, match="architecture symmetric, not late-interaction"):
        late_interaction.load(tiny_model)
    with pytest.raises(UserError, match=r"there is no config\.json"):
        late_interaction.build(tmp_path, Description("late-interaction", tokens=32))
