"""Texts to unit vectors, in batches of like token length, shard by shard."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core.errors import UserError
from stages.models import towers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def versions() -> list[str]:
    """The versions of the libraries that compute vectors and scores."""
    return [metadata.version(name) for name in ("torch", "transformers", "sentence-transformers")]


def load_encoder(folder: Path, tokens: int | None = None) -> SentenceTransformer:
    """A SentenceTransformer from a folder, on the GPU where there is one, its texts cut at `tokens` if given."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = SentenceTransformer(str(folder), local_files_only=True)
    if tokens:
        model.max_seq_length = tokens
    return model.eval()


def encode(
    model: SentenceTransformer,
    texts: list[str],
    batch_tokens: int,
    precision: str = "float32",
    tick: Callable[[int], None] = lambda n: None,
    role: str | None = None,
) -> np.ndarray:
    """Unit vectors of the texts as float32 of shape (len(texts), dimension).

    `role`, "query" or "document", says what the texts are to a model of two towers; another model does not ask.
    Batches hold texts of like token length, at most `batch_tokens` tokens with padding. Below `precision` float32
    the layers compute in it (autocast) and the vectors are normalised in float32. `tick` is called after each batch
    with the number of its texts.
    """
    import torch

    tower, route = towers.routed(model, role)
    features = tower.tokenizer([text.strip() for text in texts], truncation=True, max_length=tower.max_seq_length)
    lengths = np.fromiter((len(ids) for ids in features["input_ids"]), dtype=np.int64, count=len(texts))
    vectors = np.empty((len(texts), model.get_embedding_dimension()), dtype=np.float32)
    with torch.inference_mode(), autocast(model, precision):
        for rows in batches(lengths, batch_tokens):
            batch = {key: [values[row] for row in rows] for key, values in features.items()}
            padded = tower.tokenizer.pad(batch, return_tensors="pt").to(model.device)
            embeddings = model(dict(padded), **route)["sentence_embedding"].float()
            vectors[rows] = torch.nn.functional.normalize(embeddings, dim=1).cpu().numpy()
            tick(len(rows))
    return vectors


def autocast(model: Any, precision: str) -> AbstractContextManager[Any]:
    """The context in which a model computes in `precision`; raises UserError for float16 without a GPU."""
    import torch

    if precision == "float16" and model.device.type == "cpu":
        raise UserError("precision float16 needs a GPU; use bfloat16 or float32")
    return torch.autocast(model.device.type, getattr(torch, precision), enabled=precision != "float32")


def batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Row numbers in batches, longest texts first, so that rows x longest <= batch_tokens (or one row alone)."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size


def encode_to_file(
    model: SentenceTransformer,
    shards: Iterable[list[str]],
    total: int,
    target: Path,
    dtype: str,
    batch_tokens: int,
    precision: str,
    tick: Callable[[int], None],
    role: str | None = None,
) -> None:
    """Write the vectors of all shards to `target` (.npy, shape (total, dimension)), keeping what a killed run wrote.

    precision, tick and role are as in `encode`; dtype is that of the file. A shard is flushed to disk before
    the count next to it includes it, so that only whole shards are ever skipped.
    """
    part, journal = target.with_suffix(".part"), target.with_suffix(".count")
    done = int(journal.read_text()) if journal.exists() and part.exists() else 0
    if target.exists():
        return tick(total)
    if done:
        vectors = np.lib.format.open_memmap(part, "r+")
    else:
        vectors = np.lib.format.open_memmap(part, "w+", dtype, (total, model.get_embedding_dimension()))
    start = 0
    for texts in shards:
        stop = start + len(texts)
        if stop <= done:
            tick(len(texts))
        else:
            vectors[start:stop] = encode(model, texts, batch_tokens, precision, tick, role)
            vectors.flush()
            _write_durably(journal, str(stop))
        start = stop
    del vectors
    part.rename(target)


def _write_durably(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    with open(draft, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.rename(path)
