"""The vectors that a loss sees: those that are searched, unless the recipe says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.models import encoding, settings, towers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from stages.params.variants import Recipe

TEXTS = 16  # that are compared before training
BATCH_TOKENS = 2048
ALIKE = 1e-6  # of a vector's length: vectors that differ by less do not depend on the text


def trained(model: SentenceTransformer, normalize: bool | None) -> SentenceTransformer:
    """A retriever as the loss sees it, of the same weights: cut to the dimensions that are kept, of unit length or not.

    `normalize` None is what is searched: unit vectors where the similarity is cosine, the model's own where it is dot.
    False takes away a last step that normalises.
    """
    import torch

    seen = settings.rebuilt(model, _raw(model) if normalize is False else list(model))
    unit = settings.is_unit(model) if normalize is None else normalize

    def as_searched(module: Any, given: Any, features: dict[str, Any]) -> dict[str, Any]:
        vectors = features["sentence_embedding"][..., : model.truncate_dim]
        return {**features, "sentence_embedding": torch.nn.functional.normalize(vectors, dim=-1) if unit else vectors}

    seen.register_forward_hook(as_searched)
    return seen


def similarity(model: SentenceTransformer) -> str:
    """The similarity of a model, where dot products of vectors that it normalises itself are cosines."""
    ends = [list(model), *map(list, towers.parts(model).values())]
    unit = any(_is_normalize(parts[-1]) for parts in ends if parts)
    return "cosine" if unit or settings.is_unit(model) else "dot"


def check(model: SentenceTransformer, recipe: Recipe, where: str) -> None:
    """UserError where a recipe does not train what is searched."""
    if why := recipe.contradiction(similarity(model)):
        raise UserError(f"{where}: its recipe: {why}")


def check_texts_differ(model: SentenceTransformer, queries: list[str], passages: list[str], where: str) -> None:
    """UserError where the first texts of a role all have one vector: there the losses have no gradient."""
    import numpy as np

    for role, texts in (("query", queries), ("document", passages)):
        distinct = list(dict.fromkeys(texts))[:TEXTS]
        made = encoding.encode(model, distinct, BATCH_TOKENS, role=role)
        apart = np.abs(made - made[:1]).max() if len(distinct) > 1 else np.inf
        if apart <= ALIKE * np.linalg.norm(made, axis=1).max():
            raise UserError(
                f"{where}: {len(distinct)} texts ({'queries' if role == 'query' else 'passages'}) all have the same "
                f"vector, which no loss can move; choose another pooling (checkpoints.<name>.pooling: lasttoken for a "
                f"decoder), or more tokens if the prompt takes all"
            )


def _raw(model: SentenceTransformer) -> list[nn.Module]:
    """The modules of a model without a last one that normalises, in its towers either."""
    modules = _without_last_normalize(list(model))
    by_tower = towers.parts(model)
    if "" not in by_tower and any(_is_normalize(list(tower)[-1]) for tower in by_tower.values()):
        modules[0] = towers.pair(*(_without_last_normalize(list(by_tower[role])) for role in towers.ROLES))
    return modules


def _without_last_normalize(modules: list[nn.Module]) -> list[nn.Module]:
    return modules[:-1] if _is_normalize(modules[-1]) else modules


def _is_normalize(module: nn.Module) -> bool:
    from sentence_transformers.sentence_transformer.modules import Normalize

    return isinstance(module, Normalize)
