"""IA3, Liu et al. 2022: a trained vector scales what the named linear layers put out, or take in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.params.tuning import Ia3Tuning
from stages.training.tuning import adapters

if TYPE_CHECKING:
    from peft import IA3Config


def apply(model: Any, tuning: Ia3Tuning, head: list[str]) -> None:
    """Add the adapter to each tower and freeze everything else but the head."""
    adapters.add(model, lambda **keywords: configuration(tuning, **keywords), tuning, head)


def expected(part: Any, tuning: Ia3Tuning, head: list[str]) -> int:
    """The adapter's parameters on a tower, and those that are trained besides."""
    return parameters(adapters.linear_shapes(part[0].model), tuning) + adapters.size_beside(part, tuning, head)


def check(shapes: dict[str, tuple[int, int]], tuning: Ia3Tuning) -> None:
    """UserError where no layer of these has a name that is in `modules`, or `feedforward` has one that is not in it."""
    adapters.check_names(shapes, "ia3", [*tuning.modules, *tuning.feedforward])
    if beyond := set(tuning.feedforward) - set(tuning.modules):
        raise UserError(f"feedforward of tuning kind ia3: '{min(beyond)}' is not among its modules; name it there too")


def configuration(tuning: Ia3Tuning, **keywords: Any) -> IA3Config:
    """The configuration as peft takes it; `keywords` are further ones of it."""
    import peft

    return peft.IA3Config(target_modules=list(tuning.modules), feedforward_modules=list(tuning.feedforward), **keywords)


def parameters(shapes: dict[str, tuple[int, int]], tuning: Ia3Tuning) -> int:
    """The outputs of each layer that `tuning` names, or its inputs where it is also in feedforward.

    shapes: (outputs, inputs) of linear layers by dotted name. Raises UserError as `check` does.
    """
    check(shapes, tuning)
    return sum(
        inputs if adapters.is_called(name, tuning.feedforward) else outputs
        for name, (outputs, inputs) in shapes.items()
        if adapters.is_called(name, tuning.modules)
    )
