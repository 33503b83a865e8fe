"""The architectures that have weights, one module for each: symmetric, asymmetric, cross-encoder, late-interaction.

A module has `build(folder, description)`, which makes a fetched folder into that architecture in place. Those that
rerank have as well `load(folder)` and `score(model, queries, passages, batch_tokens, precision, tick)`, a number for
each pair. Modules are loaded by name, so that the code fingerprint of a stage covers its own architecture and no other.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from stages.core.errors import UserError
from stages.models import encoding, model_folder
from stages.models.model_folder import Description

SEED = 0  # of weights drawn afresh


def module(architecture: str) -> str:
    """The name of the module of an architecture that has weights: symmetric, asymmetric, and those that rerank."""
    return f"{__package__}.{architecture.replace('-', '_')}"


def load_module(architecture: str) -> ModuleType:
    """The module of an architecture that has weights, imported."""
    return import_module(module(architecture))


def build(folder: Path, description: Description) -> None:
    """Make a fetched folder into what its description says, in place.

    Raises UserError, whose line begins with the key of the checkpoint that is wrong, for texts longer than the model
    knows positions, for code of its own that is not allowed, and for a model that cannot have this architecture.
    """
    config = _config(folder)
    if "auto_map" in config and description.architecture == "cross-encoder" and not description.remote_code:
        raise UserError(
            "remote_code: this model needs code of its own from the hub; read that code, and say remote_code: true if "
            "it may run here"
        )
    longest = config.get("max_position_embeddings", description.tokens)
    if description.tokens > longest:
        raise UserError(f"tokens: {description.tokens} is more than the {longest} positions of these weights")
    if description.random:
        redraw(folder)
    load_module(description.architecture).build(folder, description)


def redraw(folder: Path) -> None:
    """Keep architecture, tokenizer and modules, and draw all weights afresh: the same ones on every machine."""
    import torch
    from transformers import AutoModel

    model = encoding.load_encoder(folder)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        model[0].model = AutoModel.from_config(model[0].model.config)
        for part in list(model)[1:]:
            for layer in part.modules():
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
    model_folder.save(model, folder)


def _config(folder: Path) -> dict[str, Any]:
    """The config.json of a folder's transformer; empty where there is none."""
    return json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}
