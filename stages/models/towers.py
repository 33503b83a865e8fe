"""The towers of a retriever: one for all texts, or one for queries and one for passages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def routed(model: SentenceTransformer, role: str | None) -> tuple[Any, dict[str, str]]:
    """The first module that serves texts of a role, and the keywords with which the model's forward goes there.

    A model of one tower takes any role or none; ValueError for one of two towers and a role that is none of ROLES.
    """
    by_tower = bodies(model)
    if "" in by_tower:
        return by_tower[""], {}
    if role not in by_tower:
        raise ValueError(f"a model of two towers computes for one of {', '.join(ROLES)}, not for {role}")
    return by_tower[role], {"task": role}


def alone(model: SentenceTransformer, role: str) -> SentenceTransformer:
    """A SentenceTransformer that computes what one tower of `model` does; it shares its weights."""
    from sentence_transformers import SentenceTransformer

    by_tower = parts(model)
    if "" in by_tower:
        return model
    modules = [*by_tower[role], *list(model)[1:]]
    return SentenceTransformer(modules=modules, device=str(model.device)).train(model.training)


def router_mapping(model: SentenceTransformer, columns: list[str]) -> dict[str, str]:
    """Which tower the columns of training data go to: the first to the queries', other texts to the passages'."""
    if "" in parts(model):
        return {}
    return {column: ROLES[at > 0] for at, column in enumerate(columns) if column != "label"}
