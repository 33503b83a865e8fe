"""The weights of a model: how many are trained, and that training moved those and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.core import space
from stages.core.errors import UserError
from stages.models import towers

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from stages.training.seed_runs import SeedRun


def size(module: Any) -> int:
    """All parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def count(module: Any) -> tuple[int, int]:
    """Trainable and all parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad), size(module)


def count_by_tower(model: Any) -> dict[str, tuple[int, int]]:
    """Trainable and all parameters of each tower, as towers.parts names them."""
    return {tower: count(part) for tower, part in towers.parts(model).items()}


def after_body(model: Any) -> dict[str, Any]:
    """The parameters by name that come after the transformer of each tower, such as those of a Dense layer."""
    inside = {id(parameter) for body in towers.bodies(model).values() for parameter in body.parameters()}
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) not in inside}


def untouched(model: Any) -> list[str]:
    """The kinds of modules after the transformers that have weights, none of which are trainable, sorted."""
    kinds = (type(step).__name__ for step in _steps(model) if count(step)[0] == 0 < size(step))
    return sorted(set(kinds))


def _steps(model: Any) -> list[Any]:
    """The modules of a model, and of its towers, after the first."""
    return [*list(model)[1:], *(step for part in towers.parts(model).values() for step in list(part)[1:])]


def snapshot(model: Any) -> dict[str, torch.Tensor]:
    """Copies of all parameters by name, on the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()}


def moved_share(model: Any, before: dict[str, torch.Tensor]) -> float:
    """Which share of the trainable elements differ from a snapshot.

    Rows of an embedding table in which none differs are left out: nothing that was read has such a token or position.
    """
    import torch

    tables = {
        id(part.weight) for part in model.modules() if isinstance(part, torch.nn.Embedding | torch.nn.EmbeddingBag)
    }
    moved = counted = 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            differ = parameter.detach().cpu() != before[name]
            differ = differ[differ.any(dim=1)] if id(parameter) in tables else differ
            moved, counted = moved + int(differ.sum()), counted + differ.numel()
    return moved / max(1, counted)


def changed(model: Any, before: dict[str, torch.Tensor]) -> list[str]:
    """Names of the parameters that differ from a snapshot.

    Raises UserError when a frozen one differs, when none of a tower does, and when one is not finite.
    """
    import torch

    parameters = dict(model.named_parameters())
    moved = [name for name, parameter in parameters.items() if not torch.equal(parameter.detach().cpu(), before[name])]
    if not all(torch.isfinite(parameter).all() for parameter in parameters.values()):
        raise UserError("training diverged: the weights contain NaN or infinity; lower the learning rate (lr)")
    frozen = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    if wrong := sorted(frozen.intersection(moved)):
        raise UserError(f"training moved weights that were frozen: {', '.join(wrong[:3])}")
    for tower, part in towers.parts(model).items():
        own = {id(parameter) for parameter in part.parameters()}
        if not any(id(parameters[name]) in own for name in moved):
            raise UserError(
                f"training moved no weight {f'of the {tower} tower' if tower else 'at all'}; is the learning rate too "
                f"small or every loss zero?"
            )
    return moved


def require_space(run: SeedRun, work: Path, trainable: int, total: int) -> None:
    """Raise UserError where the disk has no room for the model and for two checkpoints, of which the older then goes.

    What a killed run left of them counts as room. A checkpoint has the weights and the two moments that AdamW keeps of
    each that is trained, all in float32.
    """
    size = 4 * total + 2 * (4 * total + 8 * trainable)
    there = sum(path.stat().st_size for path in (work / "trainer").rglob("*") if path.is_file())
    space.require(work, size - min(size, there), f"the model {run.variant}, seed {run.seed}, with two checkpoints")
