"""Where texts are cut: how long a model can read, what it does by itself, and what params.yaml says instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.models import towers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Their position numbers begin after that of the padding token, so that padding + 1 of the table's rows are no position.
OFFSET_BY_PADDING = (
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
# They know the distance of two tokens and no position: what config.json says of positions does not bound a text.
# DeBERTa is one as well, but the library cuts it there when it loads it.
RELATIVE = ("mt5", "t5", "umt5", "xlnet")
POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length")


def usable_positions(config: Mapping[str, Any]) -> int | None:
    """How many tokens a model of this config.json can read at once; None where nothing bounds them."""
    kind = config.get("model_type")
    if kind in RELATIVE or config.get("position_embedding_type") == "alibi":
        return None
    positions = next((config[name] for name in POSITIONS if isinstance(config.get(name), int)), None)
    if positions is None or positions <= 0:
        return None
    if kind in OFFSET_BY_PADDING:
        padding = config.get("pad_token_id")
        return int(positions) - (1 if padding is None else int(padding)) - 1
    return int(positions)


def check(config: Mapping[str, Any], **lengths: int | None) -> None:
    """Raises UserError, whose line begins with a length's parameter, where it is beyond the usable positions."""
    usable = usable_positions(config)
    for name, length in lengths.items():
        if usable and length and length > usable:
            raise UserError(f"{name}: {length} is more than the {usable} positions that these weights can use")


def cut(model: SentenceTransformer, tokens: int | None, query_tokens: int | None, passage_tokens: int | None) -> None:
    """Set where a model cuts texts, for whoever loads it after it is saved; what is None stays as it is.

    `tokens` is the length of all texts, and then those of queries and passages, where they are not given, are it too.
    Raises UserError for a model that has no such limit, and for more tokens than a tower can read.
    """
    given = {"tokens": tokens, "query_tokens": query_tokens, "passage_tokens": passage_tokens}
    if not any(given.values()):
        return
    for body in towers.bodies(model).values():
        if not hasattr(body, "query_length"):
            name = next(name for name, length in given.items() if length)
            raise UserError(f"{name}: a {type(body).__name__} reads texts whole; leave it out")
        check(body.model.config.to_dict(), **given)
        if tokens:
            body.max_seq_length, body.query_length, body.document_length = tokens, None, None
        body.query_length = query_tokens or body.query_length
        body.document_length = passage_tokens or body.document_length


def keep_within_positions(model: SentenceTransformer) -> None:
    """Lower the limits that a model ships to what its weights can use: beyond it they fail, or read nonsense."""
    for body in towers.bodies(model).values():
        usable = usable_positions(body.model.config.to_dict()) if hasattr(body, "query_length") else None
        if usable and (body.max_seq_length or usable + 1) > usable:
            body.max_seq_length = usable
        for length in ("query_length", "document_length"):
            if usable and (getattr(body, length, None) or 0) > usable:
                setattr(body, length, usable)


def of(model: SentenceTransformer, role: str) -> int | None:
    """At how many tokens a model cuts texts of a role, "query" or "document"; None where it reads them whole."""
    body = towers.first(model, role)
    if not hasattr(body, "query_length"):
        return None
    own = body.query_length if role == "query" else body.document_length
    return own or body.max_seq_length
