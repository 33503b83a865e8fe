"""How attention is computed while a model trains."""

from __future__ import annotations

from typing import Any


def fit(model: Any) -> None:
    """Let each transformer of a model on the CPU attend by plain matrix products ("eager"), if it knows how.

    With dropout torch has no fused attention for the CPU and takes a slower way than these products; on a GPU, and
    without dropout, the model's own way stays. The values are the same but for rounding.
    """
    from transformers import PreTrainedModel

    if model.device.type != "cpu":
        return
    for body in model.modules():
        if isinstance(body, PreTrainedModel) and body.config._attn_implementation == "sdpa" and _drops(body.config):
            body.set_attn_implementation("eager")


def _drops(config: Any) -> bool:
    names = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
    return any(getattr(config, name, 0) for name in names)
