"""Vectors are those of sentence-transformers, batches hold what they may, and a killed run's shards are kept."""

import numpy as np
import pytest
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


def test_a_killed_run_keeps_its_whole_shards_and_ends_with_the_same_bytes(tiny_model, tmp_path, monkeypatch):
    model = encoding.load_encoder(tiny_model)
    shards = [TEXTS[:4], TEXTS[4:8], TEXTS[8:]]
    ticks = []

    def write(name, shards):
        encoding.encode_to_file(model, shards, len(TEXTS), tmp_path / name, "float32", 64, "float32", ticks.append)

    def killed():
        yield from shards[:2]
        raise KeyboardInterrupt

    write("whole.npy", iter(shards))
    with pytest.raises(KeyboardInterrupt):
        write("cut.npy", killed())
    assert not (tmp_path / "cut.npy").exists() and (tmp_path / "cut.count").read_text() == "8 1"
    ticks.clear()
    encoded, encode = [], encoding._encode
    monkeypatch.setattr(
        encoding, "_encode", lambda model, texts, *rest: encoded.append(texts) or encode(model, texts, *rest)
    )
    write("cut.npy", iter(shards))
    assert encoded == shards[2:] and sum(ticks) == len(TEXTS)
    assert (tmp_path / "cut.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "cut.npy").unlink()  # a count without its vectors, as a kill between two renames leaves it
    write("cut.npy", iter(shards))
    assert (tmp_path / "cut.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_shard_may_be_half_precision(tiny_model, tmp_path):
    model = encoding.load_encoder(tiny_model)
    encoding.encode_to_file(model, [TEXTS], len(TEXTS), tmp_path / "half.npy", "float16", 64, "float32", lambda n: None)
    half = np.load(tmp_path / "half.npy")
    assert half.dtype == np.float16
    assert np.abs(half - encoding.encode(model, TEXTS, 64)).max() < 1e-3
