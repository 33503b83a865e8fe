"""Pairs of query and passage to scores by a cross-encoder, in batches of like token length."""
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from stages.models import model_folder
from stages.models.encoding import autocast, batches
from stages.core.errors import UserError


def load(folder: Path, head_seed: int | None = None):
    """A CrossEncoder of one label from a folder with architecture.json, on the GPU where there is one, in float32.

    A pair is cut at architecture.json's `tokens`; the hub's own code runs only where it says `remote_code`. A checkpoint
    without a head gets one whose weights `head_seed` draws, the same on every machine; a trained head stays. Torch's
    own random numbers are left where they were. Raises UserError for a folder without a trained head where no seed is
    given, and for a head of more labels than one.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging
    logging.disable_progress_bar()
    facts = model_folder.describe(folder)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(head_seed or 0)
        try:
            model = CrossEncoder(str(folder), num_labels=1, max_length=facts["tokens"], local_files_only=True,
                                 trust_remote_code=facts.get("remote_code", False),
                                 model_kwargs={"dtype": torch.float32})
        except RuntimeError as error:
            if "mismatch" in str(error):
                raise UserError(f"{folder}: its head has more labels than one; start from a body or a one-label reranker")
            raise
    model.max_seq_length = facts["tokens"]
    if head_seed is None and (missing := _head(model) - set(_stored(folder))):
        raise UserError(f"{folder}: has no trained head ({', '.join(sorted(missing))}); train it, or start the row from "
                      f"a checkpoint that is a reranker already")
    return model.eval()


def score(model, queries: list[str], passages: list[str], batch_tokens: int, precision: str = "float32",
          tick: Callable[[int], None] = lambda n: None) -> np.ndarray:
    """The raw logit of each pair (queries[i], passages[i]) as float32 of shape (pairs,).

    Batches hold pairs of like token length, at most `batch_tokens` tokens with padding. Below `precision` float32
    the layers compute in it (autocast). A pair that is too long loses the end of its passage; a query is cut only
    beyond half of the room, so that some passage is always read (longest_first, as in training). A score depends on
    its own pair alone, up to what the batch's shape does to the last bits: 3e-6 in float32 and 7e-2 in bfloat16 were
    seen where scores lie within 2 of zero.
    Pairs of the same tokens are scored once, so that theirs are equal to the bit. `tick` is told how many pairs each
    batch finished. Raises UserError where a score is not a number.
    """
    import torch
    if not queries:
        return np.empty(0, dtype=np.float32)
    features = model.tokenizer([text.strip() for text in queries], [text.strip() for text in passages],
                               truncation="longest_first", max_length=model.max_seq_length)
    first, same = _distinct(list(zip(*(map(tuple, values) for values in features.values()))))
    lengths = np.array([len(features["input_ids"][row]) for row in first])
    counts = np.bincount(same)
    scores = np.empty(len(first), dtype=np.float32)
    with torch.inference_mode(), autocast(model, precision):
        for rows in batches(lengths, batch_tokens):
            padded = model.tokenizer.pad({key: [values[at] for at in first[rows]] for key, values in features.items()},
                                         return_tensors="pt").to(model.device)
            scores[rows] = model(dict(padded))["scores"][:, 0].float().cpu().numpy()
            tick(int(counts[rows].sum()))
    if not np.isfinite(scores).all():
        raise UserError(f"precision {precision}: the model's scores are not numbers in it; say float32 or bfloat16")
    return scores[same]


def _distinct(values: list) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct value stands first, and for each value which of those it is."""
    places: dict = {}
    same = np.array([places.setdefault(value, len(places)) for value in values])
    return np.unique(same, return_index=True)[1], same


def _head(model) -> set[str]:
    """Names of the parameters that are not the body's."""
    body = f"{model.model.base_model_prefix}."
    return {name for name, _ in model.model.named_parameters() if not name.startswith(body)}


def _stored(folder: Path) -> Iterator[str]:
    """Names of the tensors in a folder's weights."""
    import torch
    from safetensors import safe_open
    for path in Path(folder).rglob("*.safetensors"):
        with safe_open(path, framework="pt") as weights:
            yield from weights.keys()
    for path in Path(folder).rglob("pytorch_model*.bin"):
        yield from torch.load(path, map_location="cpu", weights_only=True)
