"""Which weights of a cross-encoder move: everything, or low-rank adapters and the head."""
from pathlib import Path

from stages.lib import tuning
from stages.lib.mistakes import Mistake


def prepare(model, tune) -> None:
    """Make exactly the weights that `tune` names trainable, and check their number against the arithmetic.

    full: every parameter. lora: rank x (inputs + outputs) of each linear layer named, and every weight of the head,
    which is new and would stay as it was drawn. Raises Mistake when a LoRA module is not in the model, or when the
    library left other weights trainable.
    """
    if tune.kind == "full":
        return tuning.prepare(model, tune)
    from peft import LoraConfig
    parts = head(model)
    if named := set(parts) & set(tune.modules):
        raise Mistake(f"lora.modules: '{min(named)}' is a part of the head, all of which is trained; leave it out")
    expected = tuning.lora_parameters(tuning.linear_shapes(model), tune.rank, tune.modules) + sum(
        weight.numel() for name in parts for weight in model.model.get_submodule(name).parameters())
    model.model.add_adapter(LoraConfig(task_type="SEQ_CLS", r=tune.rank, lora_alpha=tune.alpha,
                                       target_modules=tune.modules, lora_dropout=tune.dropout, modules_to_save=parts))
    trainable, _ = tuning.count(model)
    if trainable != expected:
        raise Mistake(f"tune kind lora: {trainable:,} parameters would be trained, {expected:,} were asked for")


def head(model) -> list[str]:
    """Names of the parts beside the body that hold weights, such as BERT's "classifier"."""
    body = model.model.base_model_prefix
    return [name for name, part in model.model.named_children() if name != body and list(part.parameters())]
