"""The symmetric architecture: one tower, which gives queries and passages their vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import UserError
from stages.models import encoding, model_folder
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from torch import nn


def build(folder: Path, description: Description) -> None:
    """One tower that cuts texts at `tokens` for whoever loads it, and pools as `pooling` says, if it is set.

    Weights without modules of sentence-transformers get mean pooling where it does not. Raises UserError for a pooling
    of a model that pools no token vectors.
    """
    from sentence_transformers import SentenceTransformer

    settings = folder / "sentence_bert_config.json"
    if description.pooling:
        model_folder.save(SentenceTransformer(modules=modules(folder, description)), folder)
    elif (folder / "modules.json").exists() and settings.exists():
        known = json.loads(settings.read_text())
        settings.write_text(json.dumps(known | {"max_seq_length": description.tokens}, indent=2) + "\n")
    else:
        encoding.load_encoder(folder, description.tokens).save_pretrained(str(folder), create_model_card=False)


def modules(folder: Path, description: Description) -> list[nn.Module]:
    """A fetched model's modules, cut at `tokens`, with another pooling where `pooling` names one."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    parts = list(encoding.load_encoder(folder, description.tokens))
    pooling = description.pooling
    if pooling and not any(isinstance(part, Pooling) for part in parts):
        raise UserError(f"pooling: this model pools no token vectors; leave out pooling: {pooling}")
    return [
        Pooling(part.embedding_dimension, pooling) if pooling and isinstance(part, Pooling) else part for part in parts
    ]
