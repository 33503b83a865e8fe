"""The losses that a recipe can name, one module for each kind; all of them are sentence-transformers' own.

A module has `build(model, loss)`, the library's loss module on a model, and `columns(triplets, loss)`, the table that
it is fed. It may set NO_DUPLICATES where no text may appear twice in a batch. Modules are loaded by name, so that the
code fingerprint of a variant covers its own loss and no other.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa

from stages.params.losses import Loss

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer

COSINE_SCALE = 20.0  # of the in-batch loss where the recipe names none: of cosines, and of inner products
DOT_SCALE = 1.0


def module(kind: str) -> str:
    """The name of the module of a kind of loss."""
    return f"{__name__}.{kind.replace('-', '_')}"


def build(model: SentenceTransformer | CrossEncoder, loss: Loss) -> torch.nn.Module:
    """The loss module that a recipe's `loss` block names, on a model of the architecture that the loss is for."""
    return _loaded(loss).build(model, loss)


def columns(triplets: pa.Table, loss: Loss) -> pa.Table:
    """What the loss is fed, made from triplets with the columns anchor, positive, negative[, negative_2 ...]."""
    return _loaded(loss).columns(triplets, loss)


def no_duplicates(loss: Loss) -> bool:
    """Whether a batch must not hold the same text twice."""
    return getattr(_loaded(loss), "NO_DUPLICATES", False)


def _loaded(loss: Loss) -> ModuleType:
    return importlib.import_module(module(loss.kind))
