"""Vectors are those of sentence-transformers, and batches hold what they may."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.models import encoding

TEXTS = ["", "x", "the old boat " * 40, "a green house", "  padded  ", *(f"number {n} " * n for n in range(1, 9))]


@given(lengths=st.lists(st.integers(1, 300), max_size=60), budget=st.integers(1, 600))
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    batches = list(encoding.batches(np.array(lengths, dtype=np.int64), budget))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget for rows in batches)


def test_vectors_are_those_of_the_library(tiny_model):
    model = encoding.load_encoder(tiny_model)
    theirs = model.encode(TEXTS, normalize_embeddings=True)
    for budget in (32, 4096):
        assert np.abs(encoding.encode(model, TEXTS, budget) - theirs).max() < 1e-6
