"""Texts to vectors, by the library's own methods, in batches of like token length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core.errors import UserError
from stages.models import lengths, model_folder, settings, towers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def versions() -> list[str]:
    """The versions of the libraries that compute vectors and scores."""
    return [metadata.version(name) for name in ("torch", "transformers", "sentence-transformers")]


def load_encoder(folder: Path, remote_code: bool | None = None) -> SentenceTransformer:
    """The SentenceTransformer of a folder in float32, whatever is stored, on the GPU where there is one.

    The model's own code runs only where `remote_code` says so; None is what the folder's architecture.json says.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    if remote_code is None:
        remote_code = (folder / model_folder.NAME).exists() and model_folder.describe(folder).remote_code
    model = SentenceTransformer(
        str(folder), local_files_only=True, trust_remote_code=remote_code, model_kwargs={"dtype": torch.float32}
    )
    settings.keep_lower_case(towers.bodies(model).values())
    return model.float().eval()


def encode(
    model: SentenceTransformer,
    texts: list[str],
    batch_tokens: int,
    precision: str = "float32",
    tick: Callable[[int], None] = lambda n: None,
    role: str = "document",
    read: np.ndarray | None = None,
) -> np.ndarray:
    """Vectors of the texts, float32 of shape (len(texts), dimension), by the library's encode_query or encode_document.

    `role`, "query" or "document", decides which. They have unit length where the model's similarity is cosine, and are
    as they are where it is dot. Batches hold texts of like token length, at most `batch_tokens` tokens with padding;
    `read` (len(texts),) is how many tokens of each text the model reads, where that is known already. Below `precision`
    float32 the layers compute in it (autocast) and the vectors are normalised in float32. `tick` is called after each
    batch with the number of its texts. Vectors stay on the device until all are there, so that a GPU never waits for a
    copy between two batches.
    """
    import torch

    encode_role = model.encode_query if role == "query" else model.encode_document
    made: list[torch.Tensor] = []
    order: list[np.ndarray] = []
    read = lengths.in_tokens(model, texts, role).read if read is None else read
    with autocast(model, precision):
        for rows in batches(read, batch_tokens):
            batch = encode_role(
                [texts[row] for row in rows], batch_size=len(rows), show_progress_bar=False, convert_to_tensor=True
            ).float()
            made.append(torch.nn.functional.normalize(batch, dim=1) if settings.is_unit(model) else batch)
            order.append(rows)
            tick(len(rows))
    vectors = np.empty((len(texts), model.get_embedding_dimension()), dtype=np.float32)
    if made:
        vectors[np.concatenate(order)] = torch.cat(made).cpu().numpy()
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
