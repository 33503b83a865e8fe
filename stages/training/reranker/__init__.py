"""How rerankers are trained, one module for each architecture: cross-encoder, late-interaction.

A module has `prepare` and `deployed`, which training.loop calls, and `check(checkpoint)`, which raises UserError for a
checkpoint that cannot rerank without training. Modules are loaded by name, so that the code fingerprint of a variant
covers its own architecture and no other.
"""

from typing import Any

SAVE_STEPS = 0.1  # of all steps between whole checkpoints, from which a resumed run goes on


def as_loaded(model: Any) -> Any:
    """A trained model as one that is loaded: the trainer left its `forward` computing in the recipe's precision."""
    from accelerate.utils import extract_model_from_parallel

    return extract_model_from_parallel(model, keep_fp32_wrapper=False)


def module(architecture: str) -> str:
    """The name of the module of an architecture that reranks."""
    return f"{__name__}.{architecture.replace('-', '_')}"
