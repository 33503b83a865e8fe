"""How many rows each training step reads, from the sampler that the trainer itself will use."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sentence_transformers.base.trainer import BaseTrainer

    from stages.training.seed_runs import SeedRun


def sizes(trainer: BaseTrainer) -> list[int]:
    """The rows of the training data that each step of all epochs reads.

    A batch that must not hold a text twice may be smaller than asked for, and an epoch then leaves rows out: it ends
    after as many batches as whole ones would take.
    """
    import torch

    arguments = trainer.args
    sampler = trainer.get_batch_sampler(
        trainer.train_dataset,
        batch_size=arguments.train_batch_size,
        drop_last=arguments.dataloader_drop_last,
        valid_label_columns=trainer.data_collator.valid_label_columns,
        generator=torch.Generator(),
        seed=arguments.seed,
    )
    read = []
    for epoch in range(int(arguments.num_train_epochs)):
        sampler.set_epoch(epoch)
        read += [len(rows) for rows in islice(sampler, len(sampler))]
    return read


def planned(run: SeedRun, trainer: BaseTrainer) -> list[int]:
    """As `sizes`; rows that the first epoch leaves out are a printed warning."""
    read, rows = sizes(trainer), len(trainer.train_dataset)
    epoch = read[: _steps(rows, run.recipe.batch)]
    if sum(epoch) < rows:
        click.echo(
            f"warning: {run.variant}, seed {run.seed}: no text may be twice in a batch of this loss, so that an epoch "
            f"reads {sum(epoch):,} of {rows:,} triplets, {sum(epoch) / len(epoch):.1f} a batch and not "
            f"{run.recipe.batch}; draw triplets of more different passages, or take a smaller batch",
            err=True,
        )
    return read


def read(sizes: list[int], trainer: BaseTrainer) -> dict[str, Any]:
    """What so many steps read: {"read": rows, "mean_batch": rows a step, "left_out": rows of whole epochs}."""
    rows = len(trainer.train_dataset)
    steps = _steps(rows, trainer.args.train_batch_size)
    epochs = len(sizes) // steps
    left_out = epochs * rows - sum(sizes[: epochs * steps])
    return {"read": sum(sizes), "mean_batch": round(sum(sizes) / max(1, len(sizes)), 3), "left_out": left_out}


def _steps(rows: int, batch: int) -> int:
    """Steps of an epoch: as many as whole batches would take."""
    return -(-rows // batch)
