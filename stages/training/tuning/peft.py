"""Any method of peft by its name there: methods.py says which there are, unmerged.py what becomes of one that stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stages.models import towers
from stages.params.tuning import PeftTuning
from stages.training import weights
from stages.training.tuning import adapters, merging, methods

if TYPE_CHECKING:
    from sentence_transformers.base.trainer import BaseTrainer
    from transformers import TrainerCallback

TRAINED = "trained.safetensors"  # all trained weights, in a checkpoint of the trainer
deployed = merging.deployed


def apply(model: Any, tuning: PeftTuning, head: list[str]) -> None:
    """Add the method's layers to each tower and freeze everything else but the head."""
    adapters.add(
        model, lambda **keywords: methods.configuration(tuning, **keywords), tuning, head, wrapped=methods.added
    )


def counted(part: Any, tuning: PeftTuning, head: list[str]) -> int:
    """How many parameters of a tower are trained as peft counts them, and those after its transformer with `dense`."""
    after = weights.size(part) - weights.size(part[0]) if tuning.dense else 0
    return int(part[0].model.get_nb_trainable_parameters()[0]) + after


def check(shapes: dict[str, tuple[int, int]], tuning: PeftTuning) -> None:
    """UserError for a method, a field or a value that peft does not have; methods.rehearse tries it on layers."""
    methods.configuration(tuning)


def resumed(trainer: BaseTrainer, checkpoint: str | None) -> str | None:
    """The checkpoint of a killed run that a trainer goes on from; its own will hold the trained weights alone.

    Of some methods the library writes no checkpoint that it can load again. A method that schedules its ranks by what
    it has seen, of which no checkpoint holds a word, starts anew.
    """
    _keep_in_checkpoints(trainer)
    if checkpoint and any(_schedules(body) for body in towers.bodies(trainer.model).values()):
        click.echo("this method of peft schedules its own layers, so that training starts anew")
        shutil.rmtree(Path(checkpoint).parent)
        return None
    return checkpoint


def _keep_in_checkpoints(trainer: BaseTrainer) -> None:
    from safetensors.torch import load_file, save_file

    model: Any = trainer.model

    def save(output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or trainer.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        trained = {name: each.detach().cpu().contiguous() for name, each in _trained(model).items()}
        save_file(trained, str(folder / TRAINED))

    def load(checkpoint: str) -> None:
        import torch

        stored = load_file(str(Path(checkpoint) / TRAINED))
        with torch.no_grad():
            for name, each in _trained(model).items():
                each.copy_(stored[name])

    trainer._save, trainer._load_from_checkpoint = save, load


def _trained(model: Any) -> dict[str, Any]:
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def scheduling() -> TrainerCallback:
    """A trainer callback that lets a method that schedules its own layers do so after each step, as peft asks."""
    from transformers import TrainerCallback

    class Schedule(TrainerCallback):
        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            for body in towers.bodies(model).values():
                if _schedules(body):
                    body.model.base_model.update_and_allocate(state.global_step)

    return Schedule()


def _schedules(body: Any) -> bool:
    """Whether peft's layers of a body change between steps by what they have seen, such as their ranks."""
    return hasattr(getattr(body.model, "base_model", None), "update_and_allocate")
