"""Which weights are trained, one module for each kind of tuning: full, lora, ia3, peft, frozen.

A module has three functions. `apply(model, tuning, head)` makes the weights trainable. `expected(part, tuning, head)`
computes from the shapes of a tower's weights how many parameters that must be; where only peft can tell, `counted` of
the same arguments says it after `apply`. `check(shapes, tuning)` raises UserError for a layer that weights of these
shapes lack. Modules are loaded by name, so that the code fingerprint of a variant covers its own kind and no other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.models import towers
from stages.params.tuning import ADAPTERS, FineTuning
from stages.training import weights
from stages.training.tuning import unmerged

if TYPE_CHECKING:
    from sentence_transformers.base.trainer import BaseTrainer
    from transformers import TrainerCallback


def module(kind: str) -> str:
    """The name of the module of a kind of tuning."""
    return f"{__name__}.{kind.replace('-', '_')}"


def prepare(model: Any, tuning: FineTuning, head: list[str] | None = None) -> None:
    """Make exactly the weights that `tuning` names trainable in each tower, and check their number by arithmetic.

    full: every parameter. lora and ia3: the adapter's, with `dense` those of the modules after the transformer, and
    those of the parts of the transformer named in `head`, which are new and would stay as they were drawn. frozen: all
    but the embeddings and the first layers. Raises UserError when a module or a layer is not in the model, when it has
    no transformer, or when the library left other weights trainable.
    """
    for body in towers.bodies(model).values():
        if tuning.kind != "full" and not hasattr(body, "model"):
            raise UserError(
                f"tuning kind {tuning.kind}: a {type(body).__name__} has no transformer whose layers could be named; "
                f"say kind: full"
            )
    kind = importlib.import_module(module(tuning.kind))
    counted = getattr(kind, "counted", None)
    parts = towers.parts(model).items()
    expected = {} if counted else {tower: kind.expected(part, tuning, head or []) for tower, part in parts}
    kind.apply(model, tuning, head or [])
    if counted:
        expected = {tower: counted(part, tuning, head or []) for tower, part in parts}
    for tower, (trainable, _) in weights.count_by_tower(model).items():
        if trainable != expected[tower]:
            raise UserError(
                f"tuning kind {tuning.kind}: {trainable:,} parameters {f'of the {tower} tower ' if tower else ''}"
                f"would be trained, {expected[tower]:,} were asked for"
            )


def deployed(model: Any, tuning: FineTuning, load: Callable[[], Any], folder: Path) -> Any:
    """A trained model as it is deployed: `model` itself, or what `load` gives with the trained adapter merged into it.

    The adapter is written to folder/adapter. One that peft cannot merge stays in layers of its own; raises UserError
    where it cannot be loaded again.
    """
    if tuning.kind not in ADAPTERS:
        return model
    _adapters().save(model, folder / "adapter", tuning)
    if tuning.kind == "peft":
        return _peft().deployed(model, tuning, load, folder / "adapter")
    return _adapters().merged(load(), folder / "adapter")


def callbacks(tuning: FineTuning, resumed: str | None) -> list[TrainerCallback]:
    """What a trainer needs that trains an adapter, or goes on with one from checkpoint `resumed`."""
    if tuning.kind == "peft":
        return [_peft().scheduling()]
    return [_adapters().restoring(resumed)] if resumed and tuning.kind in ADAPTERS else []


def resumed(trainer: BaseTrainer, tuning: FineTuning, checkpoint: str | None) -> str | None:
    """The checkpoint that a trainer goes on from: the newest one, unless the tuning has to start anew."""
    return _peft().resumed(trainer, checkpoint) if tuning.kind == "peft" else checkpoint


def said(model: Any) -> dict[str, Any]:
    """What logs and records say of a deployed model besides: {"unmerged": True} where it has an adapter on top."""
    return {"unmerged": True} if unmerged.remain(model) else {}


def _adapters() -> ModuleType:
    return importlib.import_module(f"{__name__}.adapters")


def _peft() -> ModuleType:
    return importlib.import_module(module("peft"))
