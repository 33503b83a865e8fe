"""The cross-encoder architecture: one model that reads query and passage together and gives the pair one logit."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core.errors import UserError
from stages.models import caps, heads, model_folder, reloading_rerankers, settings
from stages.models.encoding import autocast, batches
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

TOGETHER = 1024  # pairs that are tokenized at a time
WITHOUT_PADDING: dict[str, Any] = {"text": {"padding": False}, "common": {"return_tensors": None}}


def build(folder: Path, description: Description) -> None:
    """Turn a fetched folder into one that CrossEncoder loads, in place: in float32, proven to load again.

    A reranker, whose head is trained, keeps all that its folder says. Of an encoder, or of a retriever, stay the body
    and the tokenizer, and training draws the head. The description's `tokens` and prompt come instead of the model's
    own where it has them; a model that can read less than it says is cut where it can.

    Raises UserError for a model without a head that gives a pair one logit, and for one of which more than the head
    would be drawn at random.
    """
    _bring_up(folder)
    heads.check_kind(folder)
    trained = heads.is_trained(folder, description.remote_code)
    model = _of_library(folder, description.remote_code)
    if not trained:
        heads.clear_biases(model.model)
    heads.check_labels(model, "source")
    _set(model, description)
    with model_folder.replacing(folder, description.remote_code) as draft:
        if trained:
            model.save_pretrained(str(draft), create_model_card=False)
        else:
            model.model.base_model.save_pretrained(str(draft))
            model.tokenizer.save_pretrained(str(draft))
    model_folder.write(description, folder)
    check_saved(model, folder)


def _bring_up(folder: Path) -> None:
    """Move the files of an encoder that a retriever keeps in a folder of its own to where transformers looks."""
    modules = folder / "modules.json"
    if (folder / "config.json").exists() or not modules.exists():
        return
    inner = folder / json.loads(modules.read_text())[0]["path"]
    if (inner / "config.json").is_file():
        for path in inner.iterdir():
            path.rename(folder / path.name)


def _set(model: CrossEncoder, description: Description) -> None:
    """Set where a pair is cut, and the prompt that comes before its query."""
    config = model.config.to_dict()
    usable = caps.usable_positions(config)
    caps.check(config, tokens=description.tokens)
    if description.tokens:
        model.max_seq_length = description.tokens
    elif usable and (model.max_seq_length or usable + 1) > usable:
        model.max_seq_length = usable
    if "query" in description.prompts:
        model.prompts["query"] = description.prompts["query"]
        model.default_prompt_name = "query"


def cut(model: CrossEncoder, tokens: int | None, query_tokens: int | None, passage_tokens: int | None) -> None:
    """Cut pairs at `tokens`, if it is given, and not where the model's folder says; lengths of one side do not apply.

    Raises UserError for more tokens than the model can read.
    """
    caps.check(model.config.to_dict(), tokens=tokens)
    model.max_seq_length = tokens or model.max_seq_length


def prompt(model: CrossEncoder) -> str | None:
    """What the library's predict puts before the query of a pair, or into its chat template; None for nothing."""
    return model.prompts.get(model.default_prompt_name or "") or None


def load(folder: Path, head_seed: int | None = None) -> CrossEncoder:
    """A CrossEncoder of one label from a folder with architecture.json, on the GPU where there is one, in float32.

    The model's own code runs only where the description says `remote_code`. A checkpoint without a head gets one whose
    weights `head_seed` draws, the same on every machine; a trained head stays. Torch's own random numbers are left
    where they were. Raises UserError for a folder without a trained head where no seed is given, and for a head of more
    labels than one.
    """
    description = model_folder.describe(folder)
    model = _of_library(folder, description.remote_code, head_seed or 0)
    heads.check_labels(model, str(folder))
    if not heads.is_whole(folder):
        if head_seed is None:
            missing = ", ".join(sorted(heads.weights(model.model)))
            raise UserError(
                f"{folder}: has no trained head ({missing}); train it, or name a checkpoint that is a reranker already"
            )
        heads.clear_biases(model.model)
        _set(model, description)
    return model


def _of_library(folder: Path, remote_code: bool, seed: int = 0) -> CrossEncoder:
    """What the library loads, in float32 whatever is stored, with one label; a head that is missing is drawn."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = CrossEncoder(
            str(folder),
            num_labels=None if heads.is_whole(folder) else 1,
            local_files_only=True,
            trust_remote_code=remote_code,
            model_kwargs={"dtype": torch.float32},
        )
    settings.keep_lower_case([model[0]])
    return model.float().eval()


def check_saved(model: CrossEncoder, folder: Path) -> None:
    """Raises UserError where a folder, loaded plainly, does not score pairs as the model that was saved to it."""
    reloading_rerankers.check(folder, partial(score, model), partial(_plain_scores, folder, str(model.device)))


def _plain_scores(folder: Path, device: str, queries: list[str], passages: list[str]) -> np.ndarray:
    """The logits of pairs by a fresh CrossEncoder as anybody loads it, by its own predict; a body's head is drawn."""
    import torch
    from sentence_transformers import CrossEncoder

    if heads.is_whole(folder):
        remote_code = model_folder.describe(folder).remote_code
        model = CrossEncoder(str(folder), device=device, local_files_only=True, trust_remote_code=remote_code)
    else:
        model = load(folder, 0)
    pairs = list(zip(queries, passages, strict=True))
    return model.predict(pairs, batch_size=len(pairs), show_progress_bar=False, activation_fn=torch.nn.Identity())


def score(
    model: CrossEncoder,
    queries: list[str],
    passages: list[str],
    batch_tokens: int,
    precision: str = "float32",
    tick: Callable[[int], None] = lambda n: None,
) -> np.ndarray:
    """The raw logit of each pair (queries[i], passages[i]) as float32 of shape (pairs,), that of the library's predict.

    The library tokenizes, with the model's prompt or chat template. Batches hold pairs of like token length, at most
    `batch_tokens` tokens with padding. Below `precision` float32 the layers compute in it (autocast). A pair that is
    too long loses the end of its passage; a query is cut only beyond half of the room, so that some passage is always
    read (longest_first, as in training; a chat template is cut as the library does). A score depends on its own pair
    alone, up to what the batch's shape does to the last bits: 3e-6 in float32 and 7e-2 in bfloat16 were seen where
    scores are within 2 of zero.
    Pairs of the same tokens are scored once, so that theirs are equal to the bit. `tick` is called with the number of
    pairs after each batch. Raises UserError where a score is not a number.
    """
    import torch

    if not queries:
        return np.empty(0, dtype=np.float32)
    rows_of, constants = _tokenized(model, list(zip(queries, passages, strict=True)))
    first, same = _distinct([tuple(map(tuple, row.values())) for row in rows_of])
    lengths = np.array([len(rows_of[row]["input_ids"]) for row in first])
    counts = np.bincount(same)
    scores = np.empty(len(first), dtype=np.float32)
    with torch.inference_mode(), autocast(model, precision):
        for rows in batches(lengths, batch_tokens):
            padded = model.tokenizer.pad([rows_of[row] for row in first[rows]], return_tensors="pt").to(model.device)
            scores[rows] = model({**padded, **constants})["scores"][:, 0].float().cpu().numpy()
            tick(int(counts[rows].sum()))
    if not np.isfinite(scores).all():
        raise UserError(f"precision {precision}: the model's scores contain NaN or infinity; use float32 or bfloat16")
    return scores[same]


def _tokenized(model: CrossEncoder, pairs: list[tuple[str, str]]) -> tuple[list[dict[str, list[int]]], dict[str, Any]]:
    """What the library makes of each pair, without padding; and the values that hold for every batch."""
    rows: list[dict[str, list[int]]] = []
    constants: dict[str, Any] = {}
    for start in range(0, len(pairs), TOGETHER):
        features = model.preprocess(
            pairs[start : start + TOGETHER], prompt=prompt(model), processing_kwargs=WITHOUT_PADDING
        )
        constants = {name: value for name, value in features.items() if not isinstance(value, list)}
        texts = {name: value for name, value in features.items() if name not in constants}
        rows += [dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)]
    return rows, constants


def _distinct(values: list[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct value is first, and for each value which of those it is."""
    places: dict[Hashable, int] = {}
    same = np.array([places.setdefault(value, len(places)) for value in values])
    return np.unique(same, return_index=True)[1], same
