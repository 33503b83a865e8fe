"""The architectures that have weights, one module for each: symmetric, asymmetric, cross-encoder, late-interaction.

A module has `build(folder, description)`, which makes a fetched folder into that architecture in place. Those that
rerank have as well `load(folder)`, `cut(model, tokens, query_tokens, passage_tokens)` for the lengths of a collection,
`score(model, queries, passages, batch_tokens, precision, tick)`, a number for each pair, and `check_saved(model,
folder)`, which raises UserError where a folder does not score as the model that was saved to it; one that reads more
than a retriever from a fetched folder has `read(folder, remote_code)`. Modules are loaded by name, so that the code
fingerprint of a stage covers its own architecture and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from stages.core.errors import UserError
from stages.models import adapter_repositories, encoding, first_layers, model_folder, own_code, towers
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
    can read, for code of its own that is not allowed, for a folder that the libraries do not load, and for a model that
    cannot have this architecture.
    """
    own_code.check(folder, description.remote_code)
    adapter_repositories.merge(folder, description.remote_code)
    if description.layers:
        first_layers.cut(folder, description.layers)
    module = load_module(description.architecture)
    try:
        if description.random:
            redraw(folder, description.remote_code, getattr(module, "read", encoding.load_encoder))
        module.build(folder, description)
    except (OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"source: the libraries do not load this model ({type(error).__name__}: {reason})")


def redraw(folder: Path, remote_code: bool, read: Callable[[Path, bool], Any]) -> None:
    """Keep architecture, tokenizer and modules, and draw all weights afresh: the same ones on every machine."""
    import torch

    model = read(folder, remote_code)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        for body in towers.bodies(model).values():
            if hasattr(body, "model"):
                body.model = type(body.model)(body.model.config)
        for part in model.modules():
            if hasattr(part, "reset_parameters") and not _is_in_a_body(part, model):
                part.reset_parameters()
    model_folder.save(model, folder)


def _is_in_a_body(part: Any, model: Any) -> bool:
    return any(part in set(body.model.modules()) for body in towers.bodies(model).values() if hasattr(body, "model"))
