"""LoRA, Hu et al. 2021: a product of two small matrices is added to the weights of the named linear layers.

With `dora` each layer also has a magnitude for every output, Liu et al. 2024; with `rslora` the product is scaled by
lora_alpha / sqrt(rank), Kalajdzievski 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.params.tuning import LoraTuning
from stages.training.tuning import adapters

if TYPE_CHECKING:
    from peft import LoraConfig


def apply(model: Any, tuning: LoraTuning, head: list[str]) -> None:
    """Add the adapter to each tower and freeze everything else but the head."""
    adapters.add(model, lambda **keywords: configuration(tuning, **keywords), tuning, head)


def expected(part: Any, tuning: LoraTuning, head: list[str]) -> int:
    """The adapter's parameters on a tower, and those that are trained besides."""
    return parameters(adapters.linear_shapes(part[0].model), tuning) + adapters.size_beside(part, tuning, head)


def check(shapes: dict[str, tuple[int, int]], tuning: LoraTuning) -> None:
    """UserError where no layer of these has a name that `tuning` names."""
    adapters.check_names(shapes, "lora", tuning.modules)


def configuration(tuning: LoraTuning, **keywords: Any) -> LoraConfig:
    """The configuration as peft takes it; `keywords` are further ones of it."""
    import peft

    return peft.LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.lora_alpha,
        target_modules=list(tuning.modules),
        lora_dropout=tuning.dropout,
        use_rslora=tuning.rslora,
        use_dora=tuning.dora,
        **keywords,
    )


def parameters(shapes: dict[str, tuple[int, int]], tuning: LoraTuning) -> int:
    """rank x (inputs + outputs), and with dora the outputs, summed over the layers that `tuning` names.

    shapes: (outputs, inputs) of linear layers by dotted name. Raises UserError when no layer has a name that is named.
    """
    adapters.check_names(shapes, "lora", tuning.modules)
    return sum(
        tuning.rank * (inputs + outputs) + tuning.dora * outputs
        for name, (outputs, inputs) in shapes.items()
        if adapters.is_called(name, tuning.modules)
    )
