"""Which weights of a cross-encoder move: everything, the upper layers, or adapters and the head."""
from pathlib import Path

from stages.training import tuning
from stages.core.errors import UserError


def prepare(model, tune) -> None:
    """Make exactly the weights that `tune` names trainable, and check their number against the arithmetic.

    full and frozen: as for a retriever. lora and ia3: those of tuning.adapter_parameters, and every weight of the head,
    which is new and would stay as it was drawn. Raises UserError when a module is not in the model, or when the library
    left other weights trainable.
    """
    if tune.kind not in ("lora", "ia3"):
        return tuning.prepare(model, tune)
    parts = head(model)
    if named := set(parts) & set(tune.modules):
        raise UserError(f"modules of tune kind {tune.kind}: '{min(named)}' is a part of the head, all of which is "
                      f"trained; leave it out")
    expected = tuning.adapter_parameters(tuning.linear_shapes(model), tune) + sum(
        weight.numel() for name in parts for weight in model.model.get_submodule(name).parameters())
    model.model.add_adapter(tuning.adapter(tune, task_type="SEQ_CLS", modules_to_save=parts))
    trainable, _ = tuning.count(model)
    if trainable != expected:
        raise UserError(f"tune kind {tune.kind}: {trainable:,} parameters would be trained, {expected:,} were asked for")


def head(model) -> list[str]:
    """Names of the parts beside the body that hold weights, such as BERT's "classifier"."""
    body = model.model.base_model_prefix
    return [name for name, part in model.model.named_children() if name != body and list(part.parameters())]
