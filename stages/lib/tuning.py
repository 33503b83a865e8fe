"""Which weights move: everything, or low-rank adapters; counted before training and held to it after."""
from pathlib import Path

from stages.lib.mistakes import Mistake


def prepare(model, tune) -> None:
    """Make exactly the weights that `tune` names trainable, and check their number against the arithmetic.

    full: every parameter. lora: rank x (inputs + outputs) of each linear layer named, Hu et al. 2021.
    Raises Mistake when a LoRA module is not in the model, or when the library left other weights trainable.
    """
    if tune.kind == "lora":
        from peft import LoraConfig
        expected = lora_parameters(linear_shapes(model), tune.rank, tune.modules)
        model.add_adapter(LoraConfig(task_type="FEATURE_EXTRACTION", r=tune.rank, lora_alpha=tune.alpha,
                                     target_modules=tune.modules, lora_dropout=tune.dropout))
    else:
        expected = sum(parameter.numel() for parameter in model.parameters())
    trainable, total = count(model)
    if trainable != expected:
        raise Mistake(f"tune kind {tune.kind}: {trainable:,} parameters would be trained, {expected:,} were asked for")


def count(model) -> tuple[int, int]:
    """Trainable and all parameters of a model."""
    return (sum(p.numel() for p in model.parameters() if p.requires_grad), sum(p.numel() for p in model.parameters()))


def lora_parameters(shapes: dict[str, tuple[int, int]], rank: int, modules: list[str]) -> int:
    """rank x (inputs + outputs), summed over the layers whose last name is among `modules`.

    shapes maps a linear layer's dotted name to (outputs, inputs).
    """
    last_names = {name.rpartition(".")[2] for name in shapes}
    for module in modules:
        if module not in last_names:
            raise Mistake(f"lora.modules: no linear layer of the model is called '{module}'; "
                          f"there are: {', '.join(sorted(last_names))}")
    return sum(rank * (inputs + outputs) for name, (outputs, inputs) in shapes.items()
               if name.rpartition(".")[2] in modules)


def stored_shapes(weights: Path) -> dict[str, tuple[int, int]]:
    """The shapes of all two-dimensional weights in a safetensors file but embeddings, read from its header alone."""
    from safetensors import safe_open
    with safe_open(weights, framework="numpy") as tensors:
        shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
    return {name.removesuffix(".weight"): shape for name, shape in shapes.items()
            if name.endswith(".weight") and len(shape) == 2 and "embedding" not in name}


def snapshot(model) -> dict:
    """Copies of all parameters by name, on the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()}


def changed(model, before: dict) -> list[str]:
    """Names of the parameters that differ from a snapshot; Mistake when a frozen one does, or when none does."""
    import torch
    moved = [name for name, parameter in model.named_parameters()
             if not torch.equal(parameter.detach().cpu(), before[name])]
    if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
        raise Mistake("training diverged: some weights are not numbers any more; lower the rate (lr)")
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    if set(moved) & set(frozen):
        raise Mistake(f"training moved weights that were frozen: {', '.join(sorted(set(moved) & set(frozen))[:3])}")
    if not moved:
        raise Mistake("training moved no weight at all; is the learning rate too small or every loss zero?")
    return moved


def save_adapter(model, folder: Path) -> None:
    """Write the adapter (and a head that it trained) as peft loads it; equal runs write equal bytes."""
    import json
    model[0].model.save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    config = {key: sorted(value) if key in ("target_modules", "modules_to_save") and value else value
              for key, value in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def merged(base, adapter: Path):
    """The untouched `base` SentenceTransformer or CrossEncoder with a saved adapter added into its weights."""
    from peft import PeftModel
    base[0].model = PeftModel.from_pretrained(base[0].model, str(adapter)).merge_and_unload()
    return base


def linear_shapes(model) -> dict[str, tuple[int, int]]:
    """The (outputs, inputs) of each linear layer of a model, by its dotted name."""
    import torch
    return {name: tuple(module.weight.shape) for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)}
