"""The late-interaction architecture: a vector for each token, and MaxSim between a query's vectors and a passage's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core.errors import UserError
from stages.models import model_folder
from stages.models.encoding import autocast, batches
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder
    from torch import Tensor, nn

CHUNK = 2**22  # numbers that the comparison of a batch's pairs holds at once


def build(folder: Path, description: Description, seed: int = 0) -> None:
    """Turn a folder of an encoder (config.json, weights, tokenizer) into one that MultiVectorEncoder loads, in place.

    It becomes: config.json, model.safetensors (float32) and the tokenizer, of the encoder; sentence_bert_config.json
    with document_length `tokens` and query_length `query_tokens` (`tokens` where there is none), at which texts are
    cut; 1_Dense/, a linear layer without bias to `dimension` numbers, its weights drawn uniformly within
    1/sqrt(inputs) from `seed` (no such folder without `dimension`: then a token's vector is the encoder's); then the
    mask of padding and unit length (1_ and 2_, or 2_ and 3_); modules.json, which lists them. Pooling and what else was
    in the folder is gone. Queries are not padded with mask tokens, no markers are put before texts, and punctuation is
    kept. The same on every machine; torch's own random numbers are left where they were. Raises UserError where the
    folder holds no encoder.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    if not (folder / "config.json").is_file():
        raise UserError("architecture: late-interaction needs a body like BERT's, and there is no config.json")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        parts = [_body(folder, description)]
        if description.dimension:
            parts.append(_projection(parts[0].get_embedding_dimension(), description.dimension, seed))
    model = MultiVectorEncoder(
        modules=[*parts, MultiVectorMask(), Normalize(module_input_name="token_embeddings")],
        device="cpu",
        similarity_fn_name="maxsim",
    )
    made = folder / ".made"
    model.save_pretrained(str(made), create_model_card=False)
    for old in set(folder.iterdir()) - {made}:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for new in made.iterdir():
        new.rename(folder / new.name)
    made.rmdir()


def _body(folder: Path, description: Description) -> nn.Module:
    """The encoder of a folder, which gives a vector a token."""
    import torch
    from sentence_transformers.base.modules import Transformer

    body = Transformer(
        str(folder),
        max_seq_length=description.tokens,
        document_length=description.tokens,
        query_length=description.query_tokens or description.tokens,
        model_kwargs={"dtype": torch.float32, "local_files_only": True},
    )
    if body.module_output_name != "token_embeddings":
        raise UserError("architecture: late-interaction needs a body like BERT's; this model gives no vector a token")
    return body


def _projection(width: int, dimension: int, seed: int) -> nn.Module:
    """A linear layer without bias from `width` to `dimension` numbers, drawn uniformly within 1/sqrt(width)."""
    import torch
    from sentence_transformers.base.modules import Dense

    drawn = torch.rand((dimension, width), generator=torch.Generator().manual_seed(seed))
    return Dense(
        width,
        dimension,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=(2 * drawn - 1) / width**0.5,
        module_input_name="token_embeddings",
    )


def load(folder: Path) -> MultiVectorEncoder:
    """A MultiVectorEncoder from a folder with architecture.json, on the GPU where there is one, in float32.

    Raises UserError where the folder's description says another architecture.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()
    if (architecture := model_folder.describe(folder).architecture) != "late-interaction":
        raise UserError(f"{folder}: is a model of architecture {architecture}, not late-interaction")
    return MultiVectorEncoder(str(folder), local_files_only=True, model_kwargs={"dtype": torch.float32}).eval()


def score(
    model: MultiVectorEncoder,
    queries: list[str],
    passages: list[str],
    batch_tokens: int,
    precision: str = "float32",
    tick: Callable[[int], None] = lambda n: None,
) -> np.ndarray:
    """MaxSim of each pair (queries[i], passages[i]) as float32 of shape (pairs,), Khattab and Zaharia 2020.

    The sum over a query's tokens of the largest inner product with a token of the passage; vectors have unit length.
    Texts of the same tokens are encoded once, and the same pair of them is compared once, so that equals are equal to
    the bit. Batches hold texts of like token length, at most `batch_tokens` tokens with padding. What is held: the
    token vectors of all queries of the call (4 x tokens x dimension bytes), those of one batch of passages, and CHUNK
    numbers of comparison. Below `precision` float32 the layers compute in it (autocast), and the vectors are normalised
    and compared in float32. `tick` is called after each batch with the number of pairs that it scored. Raises
    UserError where a score is not a number.
    """
    if not queries:
        return np.empty(0, dtype=np.float32)
    distinct_queries, query_of = _distinct(model, queries, "query")
    distinct_passages, passage_of = _distinct(model, passages, "document")
    both = np.stack([passage_of, query_of], axis=1)
    pairs, same, counts = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    stop = np.searchsorted(pairs[:, 0], np.arange(len(distinct_passages)), side="right")
    start = np.searchsorted(pairs[:, 0], np.arange(len(distinct_passages)))
    query_vectors: dict[int, Tensor] = {}
    for rows, vectors in _encoded(model, distinct_queries, "query", batch_tokens, precision):
        query_vectors.update(zip(rows, vectors, strict=True))
    scores = np.empty(len(pairs), dtype=np.float32)
    for rows, vectors in _encoded(model, distinct_passages, "document", batch_tokens, precision):
        at = np.concatenate([np.arange(start[row], stop[row]) for row in rows])
        passage_vectors = dict(zip(rows, vectors, strict=True))
        sides = [query_vectors[row] for row in pairs[at, 1]], [passage_vectors[row] for row in pairs[at, 0]]
        scores[at] = model.similarity_pairwise(*sides, chunk_elements=CHUNK).cpu().numpy()
        tick(int(counts[at].sum()))
    if not np.isfinite(scores).all():
        raise UserError(f"precision {precision}: the model's scores contain NaN or infinity; use float32 or bfloat16")
    return scores[same.reshape(-1)]


def _distinct(model: MultiVectorEncoder, texts: list[str], task: str) -> tuple[list[tuple[str, int]], np.ndarray]:
    """Each text of tokens of its own with how many they are, and for each text which of those it is."""
    limit = model[0].query_length if task == "query" else model[0].document_length
    texts = [text.strip() for text in texts]
    different = list(dict.fromkeys(texts))
    tokens = model.tokenizer(different, truncation=True, max_length=limit)["input_ids"]
    places: dict[tuple[int, ...], int] = {}
    firsts, place_of = [], {}
    for text, ids in zip(different, map(tuple, tokens), strict=True):
        if ids not in places:
            places[ids] = len(places)
            firsts.append((text, len(ids)))
        place_of[text] = places[ids]
    return firsts, np.array([place_of[text] for text in texts])


def _encoded(
    model: MultiVectorEncoder, texts: list[tuple[str, int]], task: str, batch_tokens: int, precision: str
) -> Iterator[tuple[np.ndarray, list[Tensor]]]:
    """Batches of texts: their numbers, and for each its token vectors (tokens, dimension) in float32."""
    import torch

    encode = model.encode_query if task == "query" else model.encode_document
    for rows in batches(np.array([length for _, length in texts]), batch_tokens):
        with autocast(model, precision):
            vectors = encode([texts[row][0] for row in rows], batch_size=len(rows), show_progress_bar=False)
        yield rows, [torch.nn.functional.normalize(each.float(), dim=-1) for each in vectors]
