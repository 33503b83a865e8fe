"""How rerankers are trained, one module for each architecture: cross-encoder, late-interaction.

A module has `prepare` and `deployed`, which training.loop calls, and `check(checkpoint)`, which raises UserError for a
checkpoint that cannot rerank without training. Modules are loaded by name, so that the code fingerprint of a variant
covers its own architecture and no other.
"""

SAVE_STEPS = 0.1  # of all steps between whole checkpoints, from which a resumed run goes on


def module(architecture: str) -> str:
    """The name of the module of an architecture that reranks."""
    return f"{__name__}.{architecture.replace('-', '_')}"
