"""How long texts are in a model's own tokens, and how many of them it cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.models import caps, settings, towers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TOGETHER = 1024  # texts that are tokenized at a time: untruncated tokens are many
CHARACTERS = 4  # of a token, where the model has no tokenizer to ask


@dataclass(frozen=True)
class Lengths:
    """`read` (texts,) is how many tokens of each text the model reads, `cut` how many texts it does not read whole."""

    read: np.ndarray
    cut: int


def in_tokens(model: SentenceTransformer, texts: list[str], role: str) -> Lengths:
    """The lengths of texts of a role, "query" or "document", with its prompt or chat template, and special tokens.

    A model without a tokenizer of tokens that it cuts (StaticEmbedding) cuts none; its lengths are an estimate.
    """
    body = towers.first(model, role)
    if not hasattr(body, "query_length") or not callable(body.tokenizer):
        return Lengths(np.array([len(text) // CHARACTERS + 1 for text in texts], dtype=np.int64), 0)
    prefix, beyond = settings.prompt(model, role), 0
    if "message" in body.modality_config:
        prefix, beyond = "", _template_tokens(body, prefix, role)
    whole = np.empty(len(texts), dtype=np.int64)
    for start in range(0, len(texts), TOGETHER):
        ids = _token_ids(body.tokenizer, [prefix + text for text in texts[start : start + TOGETHER]])
        whole[start : start + len(ids)] = [len(line) + beyond for line in ids]
    longest = caps.of(model, role)
    if longest is None:
        return Lengths(whole, 0)
    return Lengths(np.minimum(whole, longest), int((whole > longest).sum()))


def _token_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, truncation=False, return_attention_mask=False, return_token_type_ids=False, verbose=False)[
        "input_ids"
    ]


def _template_tokens(body: Any, prompt: str, role: str) -> int:
    """How many tokens a chat template with its prompt adds to those of a text."""
    text = "text"
    templated = body.preprocess([text], prompt=prompt or None, task=role)["input_ids"].shape[1]
    return int(templated) - len(_token_ids(body.tokenizer, [text])[0])
