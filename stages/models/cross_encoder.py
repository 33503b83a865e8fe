"""The cross-encoder architecture: one model that reads query and passage together and gives the pair one logit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core.errors import UserError
from stages.models import model_folder
from stages.models.encoding import autocast, batches
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

RETRIEVERS = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "data_config.json")


def build(folder: Path, description: Description) -> None:
    """Leave what transformers loads, the head if there is one, and write `tokens` into the tokenizer's settings.

    Files and modules of a retriever are removed. Raises UserError for a folder that holds no encoder.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    if not config or config.get("architectures", [""])[0].endswith("ForCausalLM"):
        raise UserError(
            "architecture: cross-encoder needs an encoder's config.json and weights, whose head classifies; this is "
            "another kind of model"
        )
    for module in folder.glob("[0-9]*_*"):
        shutil.rmtree(module)
    for file in RETRIEVERS:
        (folder / file).unlink(missing_ok=True)
    tokenizer = folder / "tokenizer_config.json"
    settings = json.loads(tokenizer.read_text()) if tokenizer.exists() else {}
    tokenizer.write_text(json.dumps(settings | {"model_max_length": description.tokens}, indent=2) + "\n")


def load(folder: Path, head_seed: int | None = None) -> CrossEncoder:
    """A CrossEncoder of one label from a folder with architecture.json, on the GPU where there is one, in float32.

    A pair is cut at the description's `tokens`; the hub's own code runs only where it says `remote_code`. A checkpoint
    without a head gets one whose weights `head_seed` draws, the same on every machine; a trained head stays. Torch's
    own random numbers are left where they were. Raises UserError for a folder without a trained head where no seed is
    given, and for a head of more labels than one.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()
    description = model_folder.describe(folder)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(head_seed or 0)
        try:
            model = CrossEncoder(
                str(folder),
                num_labels=1,
                max_length=description.tokens,
                local_files_only=True,
                trust_remote_code=description.remote_code,
                model_kwargs={"dtype": torch.float32},
            )
        except RuntimeError as error:
            if "mismatch" in str(error):
                raise UserError(f"{folder}: its head has more labels than one; name a body or a one-label reranker")
            raise
    model.max_seq_length = description.tokens
    if head_seed is None and (missing := _head(model) - set(_stored(folder))):
        raise UserError(
            f"{folder}: has no trained head ({', '.join(sorted(missing))}); train it, or name a checkpoint that is a "
            f"reranker already"
        )
    return model.eval()


def score(
    model: CrossEncoder,
    queries: list[str],
    passages: list[str],
    batch_tokens: int,
    precision: str = "float32",
    tick: Callable[[int], None] = lambda n: None,
) -> np.ndarray:
    """The raw logit of each pair (queries[i], passages[i]) as float32 of shape (pairs,).

    Batches hold pairs of like token length, at most `batch_tokens` tokens with padding. Below `precision` float32
    the layers compute in it (autocast). A pair that is too long loses the end of its passage; a query is cut only
    beyond half of the room, so that some passage is always read (longest_first, as in training). A score depends on
    its own pair alone, up to what the batch's shape does to the last bits: 3e-6 in float32 and 7e-2 in bfloat16 were
    seen where scores are within 2 of zero.
    Pairs of the same tokens are scored once, so that theirs are equal to the bit. `tick` is called with the number of
    pairs after each batch. Raises UserError where a score is not a number.
    """
    import torch

    if not queries:
        return np.empty(0, dtype=np.float32)
    texts = [[text.strip() for text in side] for side in (queries, passages)]
    features = model.tokenizer(*texts, truncation="longest_first", max_length=model.max_seq_length)
    first, same = _distinct(list(zip(*(map(tuple, values) for values in features.values()), strict=True)))
    lengths = np.array([len(features["input_ids"][row]) for row in first])
    counts = np.bincount(same)
    scores = np.empty(len(first), dtype=np.float32)
    with torch.inference_mode(), autocast(model, precision):
        for rows in batches(lengths, batch_tokens):
            batch = {key: [values[at] for at in first[rows]] for key, values in features.items()}
            padded = model.tokenizer.pad(batch, return_tensors="pt").to(model.device)
            scores[rows] = model(dict(padded))["scores"][:, 0].float().cpu().numpy()
            tick(int(counts[rows].sum()))
    if not np.isfinite(scores).all():
        raise UserError(f"precision {precision}: the model's scores contain NaN or infinity; use float32 or bfloat16")
    return scores[same]


def _distinct(values: list[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct value is first, and for each value which of those it is."""
    places: dict[Hashable, int] = {}
    same = np.array([places.setdefault(value, len(places)) for value in values])
    return np.unique(same, return_index=True)[1], same


def _head(model: CrossEncoder) -> set[str]:
    """Names of the parameters that are not the body's."""
    body = f"{model.model.base_model_prefix}."
    return {name for name, _ in model.model.named_parameters() if not name.startswith(body)}


def _stored(folder: Path) -> Iterator[str]:
    """Names of the tensors in a folder's weights."""
    import torch
    from safetensors import safe_open

    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as weights:
            yield from weights.keys()
    for path in folder.rglob("pytorch_model*.bin"):
        yield from torch.load(path, map_location="cpu", weights_only=True)
