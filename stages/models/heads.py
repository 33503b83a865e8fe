"""The head of a cross-encoder: the part beyond the body, which is trained already or is drawn when training begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


def weights(model: Any) -> set[str]:
    """Names of the weights of a transformers model that are not its body's; none where it is but a body."""
    if model.base_model is model:
        return set()
    body = f"{model.base_model_prefix}."
    return {name for name, _ in model.named_parameters() if not name.startswith(body)}


def clear_biases(model: Any) -> None:
    """Set the biases of a drawn head to 0, as transformers does; a network's own code may leave them as memory was."""
    import torch

    own = weights(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in own and name.endswith("bias"):
                parameter.zero_()


def is_whole(folder: Path) -> bool:
    """Whether sentence-transformers saved a folder as a cross-encoder: it holds a whole model and its settings."""
    return _json(folder / "config_sentence_transformers.json").get("model_type") == "CrossEncoder"


def check_kind(folder: Path) -> None:
    """Raises UserError for a folder that holds neither a cross-encoder nor an encoder."""
    config = _json(folder / "config.json")
    if not is_whole(folder) and (not config or _architecture(config).endswith("ForCausalLM")):
        raise UserError(
            "architecture: cross-encoder needs an encoder's config.json and weights, whose head classifies; this is "
            "another kind of model"
        )


def check_labels(model: CrossEncoder, where: str) -> None:
    """Raises UserError, whose line begins with `where`, for a head that gives a pair more than one number."""
    if model.num_labels != 1:
        raise UserError(f"{where}: its head has more labels than one; name a body or a one-label reranker")


def is_trained(folder: Path, remote_code: bool) -> bool:
    """Whether a folder holds a whole cross-encoder, or weights with the head that classifies; False for a body.

    Raises UserError where weights below the head would be drawn at random, and for a head that gives no single logit.
    """
    if is_whole(folder):
        return True
    kind, head, missing, mismatched = _of_weights(folder, remote_code)
    if mismatched & head:
        raise UserError("source: its head has more labels than one; name a body or a one-label reranker")
    if below := missing - head:
        raise UserError(
            f"source: the weights have no {min(below)}, and {len(below)} such would be drawn at random below the head; "
            f"name an encoder whose weights a {kind} can read whole"
        )
    if not head or (missing and missing != head):
        raise UserError(f"source: the head of this {kind} cannot be told from its body, or only a part of it is stored")
    named = _architecture(_json(folder / "config.json"))
    if not missing and not remote_code and not named.endswith("ForSequenceClassification"):
        raise UserError(f"source: the head of a {named} is trained for something else; name a reranker or a body")
    return not missing


def _of_weights(folder: Path, remote_code: bool) -> tuple[str, set[str], set[str], set[str]]:
    """Of what transformers reads with one label: its class, names of the head's, missing, and misshapen weights."""
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            str(folder),
            num_labels=1,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=remote_code,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    finally:
        logging.set_verbosity(level)
    mismatched = {name for name, *_ in loaded["mismatched_keys"]}
    return type(model).__name__, weights(model), set(loaded["missing_keys"]) - mismatched, mismatched


def _json(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _architecture(config: Mapping[str, Any]) -> str:
    return (config.get("architectures") or [""])[0]
