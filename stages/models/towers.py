"""The towers of a retriever: one for all texts, or one for queries and one for passages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.models import settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

ROLES = ("query", "document")


def pair(queries: list[nn.Module], documents: list[nn.Module]) -> nn.Module:
    """The module of two towers, each given as its modules in order; it computes nothing for a text without a role."""
    from sentence_transformers.sentence_transformer.modules import Router

    return Router.for_query_document(queries, documents, default_route=None, allow_empty_key=False)


def parts(model: SentenceTransformer) -> dict[str, Any]:
    """What holds a model's weights, by tower: {"": the model} or {"query": ..., "document": ...}, indexable modules."""
    from sentence_transformers.sentence_transformer.modules import Router

    return {role: model[0].sub_modules[role] for role in ROLES} if isinstance(model[0], Router) else {"": model}


def bodies(model: SentenceTransformer) -> dict[str, Any]:
    """The first module of each tower, which holds the tokenizer and, as its `model`, the transformer."""
    return {tower: part[0] for tower, part in parts(model).items()}


def first(model: SentenceTransformer, role: str) -> Any:
    """The first module that serves texts of a role, one of ROLES."""
    by_tower = bodies(model)
    return by_tower[""] if "" in by_tower else by_tower[role]


def alone(model: SentenceTransformer, role: str) -> SentenceTransformer:
    """A SentenceTransformer that computes what one tower of `model` does; it shares its weights."""
    by_tower = parts(model)
    return model if "" in by_tower else settings.rebuilt(model, [*by_tower[role], *list(model)[1:]])


def roles(columns: list[str]) -> dict[str, str]:
    """The role of each column of training texts: of the first query, of the others document."""
    return {column: ROLES[at > 0] for at, column in enumerate(columns) if column != "label"}
