"""The symmetric architecture: one tower, which gives queries and passages their vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stages.core.errors import UserError
from stages.models import caps, encoding, model_folder, reloading, settings, towers
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def build(folder: Path, description: Description) -> None:
    """What the library loads from the folder, with the pooling, caps, prompts and similarity of the description."""
    save(load(folder, description), folder, description)


def load(folder: Path, description: Description) -> SentenceTransformer:
    """The model of a fetched folder in float32, with all that its description sets.

    Weights without modules of sentence-transformers get the library's own choice of pooling where `pooling` names none.
    Raises UserError for a model that the library does not load, for a pooling of a model that pools no token vectors,
    for lengths that it cannot read, and for a similarity that search does not know.
    """
    model = encoding.load_encoder(folder, description.remote_code)
    model = _pooled(model, description.pooling) if description.pooling else model
    _pad(model)
    _attend_in_full(model)
    caps.keep_within_positions(model)
    caps.cut(model, description.tokens, description.query_tokens, description.passage_tokens)
    settings.set_prompts(model, description.prompts)
    _say_prompts_left_out(model, description)
    settings.set_similarity(model, description.similarity)
    return model


def save(model: SentenceTransformer, folder: Path, description: Description) -> None:
    """Put a model in the place of its folder, with its own code where it has any, and prove that it loads again."""
    code = {path.name: path.read_bytes() for path in folder.glob("*.py")} if description.remote_code else {}
    model_folder.save(model, folder)
    for name, content in code.items():
        (folder / name).write_bytes(content)
    model_folder.write(description, folder)
    reloading.check(model, folder)


def _pad(model: SentenceTransformer) -> None:
    """Give a tokenizer that has no padding token, as many decoders', its end of text for it: the mask hides it."""
    for body in towers.bodies(model).values():
        tokenizer = getattr(body, "tokenizer", None)
        if callable(tokenizer) and tokenizer.pad_token is None and tokenizer.eos_token is not None:
            tokenizer.pad_token = tokenizer.eos_token


def _attend_in_full(model: SentenceTransformer) -> None:
    """Keep BigBird from sparse attention, which it gives up for good, in the middle of its work, at a short text."""
    for body in towers.bodies(model).values():
        if hasattr(getattr(body, "model", None), "set_attention_type"):
            body.model.set_attention_type("original_full")
            body.model.config.attention_type = "original_full"


def _say_prompts_left_out(model: SentenceTransformer, description: Description) -> None:
    """Print a warning where a model's prompts have names by which the library does not find them."""
    for role, key in (("query", "query"), ("document", "passage")):
        left = settings.prompts_left_out(model, role)
        if left and key not in description.prompts:
            named = ", ".join(f"{name}: {text!r}" for name, text in left.items())
            click.echo(
                f"warning: prompts: nothing stands before a {key}: encode_{role} looks for the prompt '{role}', and "
                f"this model has {named[:300]}; if one is meant, say prompts: {{{key}: ...}}",
                err=True,
            )


def _pooled(model: SentenceTransformer, pooling: str) -> SentenceTransformer:
    """The model with another pooling."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    if not any(isinstance(part, Pooling) for part in model):
        raise UserError(f"pooling: this model pools no token vectors; leave out pooling: {pooling}")
    parts = [
        Pooling(part.embedding_dimension, pooling, include_prompt=part.include_prompt)
        if isinstance(part, Pooling)
        else part
        for part in model
    ]
    return settings.rebuilt(model, parts)
