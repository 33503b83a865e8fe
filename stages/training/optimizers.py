"""The optimizers that a tuning can name. The trainer makes them; loop.py says with which schedule."""

from typing import Any

from stages.params.tuning import FineTuning

BETAS = {"adamw": (0.9, 0.999), "lion": (0.9, 0.99)}


def chosen(tuning: FineTuning, weight_decay: float) -> tuple[type, dict[str, Any]]:
    """The class of a tuning's optimizer and its keywords, for a trainer's `optimizer_cls_and_kwargs`.

    adamw: Loshchilov and Hutter 2019, torch's, fused. lion: Chen et al. 2023, lion_pytorch's. Both shrink a weight by
    lr x weight_decay in each step, apart from its gradient. In lion_pytorch that is decoupled_weight_decay=False: True
    would divide the decay by the first rate, and so change the formula of the paper. The trainer gives the class two
    groups of parameters with a decay each: `weight_decay` for weights, none for biases and norms, under either
    optimizer.
    """
    betas = tuple(tuning.betas or BETAS[tuning.optimizer])
    shared = {"lr": tuning.lr, "betas": betas, "weight_decay": weight_decay}
    if tuning.optimizer == "lion":
        from lion_pytorch import Lion

        return Lion, {**shared, "decoupled_weight_decay": False, "use_triton": False}
    from torch.optim import AdamW

    return AdamW, {**shared, "eps": 1e-8, "fused": True}
