"""What the kinds lora, ia3 and peft share: adapters are added, counted, saved, restored and merged by peft."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.models import towers
from stages.params.tuning import Adapter
from stages.training import weights

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import TrainerCallback

DENSE = "dense.safetensors"  # the trained layers after the transformer
UNORDERED = ("target_modules", "feedforward_modules", "modules_to_save")  # of peft's configuration, which are sets


def add(
    model: Any,
    configuration: Callable[..., PeftConfig],
    tuning: Adapter,
    head: list[str],
    wrapped: Callable[[Any, PeftConfig], Any] | None = None,
) -> None:
    """Add an adapter to each tower; nothing else but the parts named in `head` stays trainable, and `dense` layers.

    `wrapped(transformer, configuration)` puts it in and gives what takes the transformer's place; without it
    transformers does, in place. Raises UserError where `tuning` names a part of the head, all of which is trained
    anyway, and for `dense` where the model has no such layer.
    """
    if named := set(head) & set(tuning.modules or ()):
        raise UserError(
            f"modules of tuning kind {tuning.kind}: '{min(named)}' is a part of the head, all of which is trained; "
            f"leave it out"
        )
    model.requires_grad_(False)
    if tuning.dense:
        after = weights.after_body(model)
        if not after:
            raise UserError("dense: the model has no layer with weights after its transformer; leave out dense: true")
        for parameter in after.values():
            parameter.requires_grad_(True)
    for body in towers.bodies(model).values():
        keywords = {"task_type": "SEQ_CLS", "modules_to_save": head} if head else {"task_type": "FEATURE_EXTRACTION"}
        if wrapped:
            body.model = wrapped(body.model, configuration(**keywords))
        else:
            body.model.add_adapter(configuration(**keywords))


def size_beside(part: Any, tuning: Adapter, head: list[str]) -> int:
    """How many parameters of a tower are trained besides the adapter's: the head's, and with `dense` what follows."""
    after = weights.size(part) - weights.size(part[0]) if tuning.dense else 0
    return sum(weights.size(part[0].model.get_submodule(name)) for name in head) + after


def linear_shapes(body: Any) -> dict[str, tuple[int, int]]:
    """The (outputs, inputs) of each linear layer of a transformer, by its dotted name."""
    import torch

    return {
        name: tuple(module.weight.shape) for name, module in body.named_modules() if isinstance(module, torch.nn.Linear)
    }


def check_names(shapes: dict[str, tuple[int, int]], kind: str, modules: Sequence[str]) -> None:
    """UserError where no linear layer has one of the names."""
    if not shapes:
        raise UserError(f"tuning kind {kind}: the model has no transformer whose layers could be named; say kind: full")
    for module in modules:
        if not any(is_called(name, [module]) for name in shapes):
            last_names = {name.rpartition(".")[2] for name in shapes}
            raise UserError(
                f"modules of tuning kind {kind}: no linear layer of the model is called '{module}'; there are: "
                f"{', '.join(sorted(last_names))}"
            )


def is_called(name: str, modules: Sequence[str]) -> bool:
    """Whether a dotted name is one of these or ends with one of them, as peft looks for them."""
    return any(name == module or name.endswith(f".{module}") for module in modules)


def save(model: Any, folder: Path, tuning: Adapter) -> None:
    """Write the adapter (and a head that was trained with it) as peft loads it; equal runs write equal bytes.

    Of two towers each gets a folder of its name below `folder`. Layers that `dense` trained are in a file beside.
    """
    from safetensors.torch import save_file

    for tower, body in towers.bodies(model).items():
        unordered = {*UNORDERED, *_sets(body.model)}
        body.model.save_pretrained(str(folder / tower))
        (folder / tower / "README.md").unlink(missing_ok=True)
        path = folder / tower / "adapter_config.json"
        settings = {
            key: sorted(value) if key in unordered and isinstance(value, list) else value
            for key, value in json.loads(path.read_text()).items()
        }
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    if tuning.dense:
        trained = {name: values.detach().cpu().contiguous() for name, values in weights.after_body(model).items()}
        save_file(trained, str(folder / DENSE))


def _sets(network: Any) -> set[str]:
    """The fields of an adapter's configuration whose values have no order."""
    return {name for name, value in vars(network.peft_config["default"]).items() if isinstance(value, set)}


def merged(base: Any, folder: Path) -> Any:
    """The base model with saved adapters merged into its weights, and with the layers that were trained beside them."""
    from peft import PeftModel

    restore_dense(base, folder)
    for tower, body in towers.bodies(base).items():
        body.model = PeftModel.from_pretrained(body.model, str(folder / tower)).merge_and_unload()
    return base


def restore_dense(base: Any, folder: Path) -> None:
    """Put the layers that were trained beside saved adapters into a base model; nothing where there are none."""
    import torch
    from safetensors.torch import load_file

    if (folder / DENSE).exists():
        after = weights.after_body(base)
        with torch.no_grad():
            for name, values in load_file(str(folder / DENSE)).items():
                after[name].copy_(values)


def restoring(checkpoint: str) -> TrainerCallback:
    """A trainer callback that restores adapters from a trainer's checkpoint, once the trainer has loaded it.

    The loader that the trainer uses leaves DoRA's magnitudes as they are before training (transformers 5.23).
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import TrainerCallback

    class Restore(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            for tower, body in towers.bodies(model).items():
                folder = Path(checkpoint) / (f"{tower}_0_{type(body).__name__}" if tower else "")
                if (folder / "adapter_model.safetensors").exists():
                    stored = load_file(str(folder / "adapter_model.safetensors"))
                    names = {name.removeprefix("base_model.model."): tensor for name, tensor in stored.items()}
                    set_peft_model_state_dict(body.model, names)

    return Restore()
