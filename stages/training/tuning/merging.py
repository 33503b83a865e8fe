"""A trained adapter of any method as it is deployed: merged where peft can, else in layers of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stages.core.errors import UserError
from stages.models import towers
from stages.params.tuning import PeftTuning
from stages.training.tuning import adapters, methods

TOLERANCE = 1e-5  # of a token vector's length, or of the largest score
TEXTS = ("What is the capital of France?", "paris is the CAPITAL of France , and its largest city", "42")


def deployed(model: Any, tuning: PeftTuning, load: Callable[[], Any], folder: Path) -> Any:
    """What `load` gives with the adapter saved in `folder` merged, or on top where that computes something else.

    Raises UserError where neither computes what was trained.
    """
    method = tuning.method
    try:
        plain = adapters.merged(load(), folder).eval()
        away = gap(model, plain)
        why = f"merged weights compute something else, by {away:.1e}"
    except methods.FAILURES as error:
        away, why = math.inf, " ".join(str(error).split())[:200] or type(error).__name__
    if away <= TOLERANCE:
        return plain
    click.echo(f"peft's {method} is deployed unmerged, as layers of its own: {why}")
    plain = put_on(load(), folder, tuning)
    away = gap(model, plain)
    if not away <= TOLERANCE:
        raise UserError(
            f"method: peft's {method} cannot be deployed: what is saved of it computes something else than what was "
            f"trained, by {away:.1e}; take another method"
        )
    return plain


def gap(one: Any, other: Any) -> float:
    """The largest difference of what the transformers of two models give for some texts, relative to its length."""
    differences = []
    for mine, theirs in zip(towers.bodies(one).values(), towers.bodies(other).values(), strict=True):
        first, second = _outputs(mine), _outputs(theirs)
        differences.append(float((first - second).abs().max() / first.norm(dim=-1).max().clamp(min=1.0)))
    return max(differences)


def _outputs(body: Any) -> Any:
    """Vectors of the tokens of TEXTS, or scores, of a body in float32."""
    import torch

    read = body.tokenizer(list(TEXTS), padding=True, truncation=True, max_length=32, return_tensors="pt")
    read = read.to(next(body.model.parameters()).device)
    training = body.model.training
    with torch.no_grad():
        made = body.model.eval()(**read)[0].float()
    body.model.train(training)
    return made * read["attention_mask"][..., None] if made.ndim == 3 else made


def put_on(base: Any, folder: Path, tuning: PeftTuning) -> Any:
    """The base model with saved adapters on its transformers, as transformers loads them, and layers trained beside.

    Raises UserError where transformers cannot.
    """
    adapters.restore_dense(base, folder)
    for tower, body in towers.bodies(base).items():
        try:
            body.model.load_adapter(str(folder / tower))
        except methods.FAILURES as error:
            raise UserError(
                f"method: peft cannot merge {tuning.method} into the weights, and transformers cannot load it beside "
                f"them ({' '.join(str(error).split())[:200]}); take another method"
            )
    return base.eval()
