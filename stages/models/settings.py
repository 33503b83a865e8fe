"""What a retriever has besides its modules: prompts, similarity, and the dimensions that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

SIMILARITIES = ("cosine", "dot")
PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}  # names that the library looks for


def rebuilt(model: SentenceTransformer, modules: Sequence[nn.Module]) -> SentenceTransformer:
    """A SentenceTransformer of other modules with the settings of `model`, on its device and in its mode."""
    from sentence_transformers import SentenceTransformer

    other = SentenceTransformer(
        modules=list(modules),
        device=str(model.device),
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
        truncate_dim=model.truncate_dim,
    )
    other.trust_remote_code = model.trust_remote_code
    return other.train(model.training)


def prompt(model: SentenceTransformer, role: str) -> str:
    """What encode_query and encode_document put before a text of a role, "query" or "document"; "" for nothing."""
    return chosen(model.prompts, model.default_prompt_name, role)


def chosen(prompts: Mapping[str, str | None], default: str | None, role: str) -> str:
    """Which of a model's prompts is that of a role: one of its names, or else the one that `default` names."""
    for name in PROMPTS[role]:
        if name in prompts:
            return prompts[name] or ""
    return prompts.get(default or "", "") or ""


def prompts_left_out(model: SentenceTransformer, role: str) -> dict[str, str]:
    """The prompts of a model by name, where the library puts none before a text of a role and there are such.

    A prompt counts that the other role has not: the library finds "document" first, which every model has, if empty.
    """
    if prompt(model, role):
        return {}
    read = {prompt(model, other) for other in PROMPTS}
    return {name: text for name, text in model.prompts.items() if text and text not in read}


def set_prompts(model: SentenceTransformer, prompts: Mapping[str, str]) -> None:
    """Put the prompts of "query" and "passage" in the place of a model's own, under all names that it has for them."""
    for role, texts in (("query", "query"), ("document", "passage")):
        if texts in prompts:
            names = {PROMPTS[role][0], *(name for name in PROMPTS[role] if name in model.prompts)}
            model.prompts.update(dict.fromkeys(sorted(names), prompts[texts]))


def set_similarity(model: SentenceTransformer, similarity: str) -> None:
    """Set the similarity, "" for the model's own. Raises UserError where that is one that no search here knows."""
    if similarity:
        model.similarity_fn_name = similarity
    if model.similarity_fn_name not in SIMILARITIES:
        raise UserError(
            f"similarity: this model ranks by {model.similarity_fn_name}, and search knows "
            f"{' and '.join(SIMILARITIES)}; name one of them"
        )


def keep_lower_case(bodies: Iterable[Any]) -> None:
    """Let the first modules of towers write do_lower_case when they are saved, which the library reads but drops."""
    for body in bodies:
        if getattr(body, "do_lower_case", False):
            body.config_keys = [*body.config_keys, "do_lower_case"]


def is_unit(model: SentenceTransformer) -> bool:
    """Whether a model's vectors are compared at unit length: its similarity is cosine."""
    return model.similarity_fn_name == "cosine"
