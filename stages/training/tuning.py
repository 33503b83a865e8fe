"""Which weights move: everything, adapters, or the upper layers; counted before training and held to it after."""
import re
from pathlib import Path

from stages.models import towers
from stages.core.errors import UserError

UNORDERED = ("target_modules", "feedforward_modules", "modules_to_save")  # of peft's configuration, which are sets


def prepare(model, tune) -> None:
    """Make exactly the weights that `tune` names trainable in each tower, and check their number by arithmetic.

    full: every parameter. lora and ia3: those of `adapter_parameters`. frozen: all but the embeddings and the first
    layers. Raises UserError when a module or a layer is not in the model, or when the library left other weights
    trainable.
    """
    expected = {tower: _expected(part, part[0].model, tune) for tower, part in towers.parts(model).items()}
    if tune.kind in ("lora", "ia3"):
        model.requires_grad_(False)
        for body in towers.bodies(model).values():
            body.model.add_adapter(adapter(tune, task_type="FEATURE_EXTRACTION"))
    elif tune.kind == "frozen":
        for body in towers.bodies(model).values():
            for part in lower_parts(body.model, tune.layers):
                part.requires_grad_(False)
    for tower, (trainable, _) in count_by_tower(model).items():
        if trainable != expected[tower]:
            raise UserError(f"tune kind {tune.kind}: {trainable:,} parameters {f'of the {tower} tower ' if tower else ''}"
                          f"would be trained, {expected[tower]:,} were asked for")


def _expected(tower, body, tune) -> int:
    match tune.kind:
        case "lora" | "ia3":
            return adapter_parameters(linear_shapes(body), tune)
        case "frozen":
            return _size(tower) - sum(_size(part) for part in lower_parts(body, tune.layers))
        case _:
            return _size(tower)


def _size(part) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def count(model) -> tuple[int, int]:
    """Trainable and all parameters of a model."""
    return (sum(p.numel() for p in model.parameters() if p.requires_grad), _size(model))


def count_by_tower(model) -> dict[str, tuple[int, int]]:
    """Trainable and all parameters of each tower, as towers.parts names them."""
    return {tower: count(part) for tower, part in towers.parts(model).items()}


def adapter(tune, **more):
    """The peft configuration of a tune block of kind lora or ia3; `more` are further keywords of it."""
    import peft
    if tune.kind == "ia3":
        return peft.IA3Config(target_modules=tune.modules, feedforward_modules=tune.feedforward, **more)
    return peft.LoraConfig(r=tune.rank, lora_alpha=tune.lora_alpha, target_modules=tune.modules, lora_dropout=tune.dropout,
                           use_rslora=tune.rslora, use_dora=tune.dora, **more)


def adapter_parameters(shapes: dict[str, tuple[int, int]], tune) -> int:
    """How many parameters an adapter has, on linear layers of (outputs, inputs) by dotted name.

    lora: those of `lora_parameters`, and with dora the `outputs` magnitudes of each layer named, Liu et al. 2024. ia3:
    the outputs of each layer named, or its inputs where it is also in feedforward, Liu et al. 2022.
    Raises UserError when no layer has a name that `tune` names.
    """
    if tune.kind == "lora":
        magnitudes = sum(outputs for name, (outputs, _) in shapes.items() if _is_called(name, tune.modules))
        return lora_parameters(shapes, tune.rank, tune.modules) + tune.dora * magnitudes
    _check_names(shapes, "ia3", [*tune.modules, *tune.feedforward])
    if beyond := set(tune.feedforward) - set(tune.modules):
        raise UserError(f"feedforward of tune kind ia3: '{min(beyond)}' is not among its modules; name it there too")
    return sum(inputs if _is_called(name, tune.feedforward) else outputs
               for name, (outputs, inputs) in shapes.items() if _is_called(name, tune.modules))


def lora_parameters(shapes: dict[str, tuple[int, int]], rank: int, modules: list[str]) -> int:
    """rank x (inputs + outputs), summed over the layers that `modules` names, Hu et al. 2021; shapes as above."""
    _check_names(shapes, "lora", modules)
    return sum(rank * (inputs + outputs) for name, (outputs, inputs) in shapes.items() if _is_called(name, modules))


def _check_names(shapes: dict, kind: str, modules: list[str]) -> None:
    for module in modules:
        if not any(_is_called(name, [module]) for name in shapes):
            last_names = {name.rpartition(".")[2] for name in shapes}
            raise UserError(f"modules of tune kind {kind}: no linear layer of the model is called '{module}'; "
                          f"there are: {', '.join(sorted(last_names))}")


def _is_called(name: str, modules: list[str]) -> bool:
    """Whether a dotted name is one of these or ends with one of them, as peft looks for them."""
    return any(name == module or name.endswith(f".{module}") for module in modules)


def lower_parts(body, layers: int) -> list:
    """The embeddings and the first `layers` layers of a transformer; UserError where it has no more than those.

    Its layers are its longest ModuleList, its embeddings the smallest part of it that holds the input embeddings.
    """
    import torch
    stacks = [module for module in body.modules() if isinstance(module, torch.nn.ModuleList)]
    stack = max(stacks, key=len, default=[])
    check_layers(layers, len(stack))
    words = body.get_input_embeddings()
    embeddings = min((part for part in body.base_model.children() if words in set(part.modules())), key=_size)
    return [embeddings, *stack[:layers]]


def check_layers(layers: int, there: int) -> None:
    """UserError where freezing the first `layers` of so many layers leaves none to train."""
    if layers >= there:
        raise UserError(f"layers of tune kind frozen: {layers} would be frozen and the model has {there}; "
                      f"at least one must be left to train")


def stored_shapes(weights: Path) -> dict[str, tuple[int, int]]:
    """The shapes of all two-dimensional weights in a safetensors file but embeddings, read from its header alone."""
    from safetensors import safe_open
    with safe_open(weights, framework="numpy") as tensors:
        shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
    return {name.removesuffix(".weight"): shape for name, shape in shapes.items()
            if name.endswith(".weight") and len(shape) == 2 and "embedding" not in name}


def check_stored(shapes: dict[str, tuple[int, int]], tune) -> None:
    """UserError where a tune block names a layer that weights of these shapes cannot have."""
    if tune.kind in ("lora", "ia3"):
        adapter_parameters(shapes, tune)
    elif tune.kind == "frozen":
        numbered = {found.groups() for name in shapes if (found := re.match(r"(.*?)\.(\d+)\.", name))}
        stacks = [stack for stack, _ in numbered]
        check_layers(tune.layers, max(map(stacks.count, stacks), default=0))


def snapshot(model) -> dict:
    """Copies of all parameters by name, on the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()}


def changed(model, before: dict) -> list[str]:
    """Names of the parameters that differ from a snapshot; UserError when a frozen one does, or none of a tower does."""
    import torch
    parameters = dict(model.named_parameters())
    moved = [name for name, parameter in parameters.items() if not torch.equal(parameter.detach().cpu(), before[name])]
    if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
        raise UserError("training diverged: some weights are not numbers any more; lower the rate (lr)")
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    if set(moved) & set(frozen):
        raise UserError(f"training moved weights that were frozen: {', '.join(sorted(set(moved) & set(frozen))[:3])}")
    for tower, part in towers.parts(model).items():
        own = {id(parameter) for parameter in part.parameters()}
        if not any(id(parameters[name]) in own for name in moved):
            raise UserError(f"training moved no weight {f'of the {tower} tower' if tower else 'at all'}; "
                          f"is the learning rate too small or every loss zero?")
    return moved


def save_adapter(model, folder: Path) -> None:
    """Write the adapter (and a head that it trained) as peft loads it; equal runs write equal bytes.

    Of two towers each gets a folder of its name below `folder`.
    """
    import json
    for tower, body in towers.bodies(model).items():
        body.model.save_pretrained(str(folder / tower))
        path = folder / tower / "adapter_config.json"
        config = {key: sorted(value) if key in UNORDERED and value else value
                  for key, value in json.loads(path.read_text()).items()}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def restoring(checkpoint: str | None):
    """A trainer callback that puts adapters back as a trainer's checkpoint has them, once the trainer has loaded it.

    The loader that the trainer uses leaves DoRA's magnitudes as they are before training (transformers 5.23).
    """
    from transformers import TrainerCallback

    class Restore(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            for tower, body in towers.bodies(model).items() if checkpoint else ():
                folder = Path(checkpoint) / (f"{tower}_0_{type(body).__name__}" if tower else "")
                if (folder / "adapter_model.safetensors").exists():
                    _put_adapter_back(body.model, folder / "adapter_model.safetensors")

    return Restore()


def _put_adapter_back(body, weights: Path) -> None:
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file
    set_peft_model_state_dict(body, {name.removeprefix("base_model.model."): tensor
                                     for name, tensor in load_file(weights).items()})


def merged(base, adapter: Path):
    """The untouched `base` SentenceTransformer or CrossEncoder with saved adapters merged into its weights."""
    from peft import PeftModel
    for tower, body in towers.bodies(base).items():
        body.model = PeftModel.from_pretrained(body.model, str(adapter / tower)).merge_and_unload()
    return base


def linear_shapes(model) -> dict[str, tuple[int, int]]:
    """The (outputs, inputs) of each linear layer of a model, by its dotted name."""
    import torch
    return {name: tuple(module.weight.shape) for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)}
