"""Train: a retriever's models, one for each seed."""

from functools import partial
from pathlib import Path

import click

from stages import params
from stages.core import code, threads
from stages.models import reloading
from stages.training import loop, losses, retriever, seed_runs, tuning

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--checkpoint", type=folder, required=True, help="the base checkpoint")
@click.option("--triplets", type=folder, required=True, help="the triplets, one file for each seed")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one for each seed")
@click.option(
    "--log", type=click.Path(path_type=Path), required=True, help="loss and RR@10 on validation by step, JSON"
)
def main(variant: str, checkpoint: Path, triplets: Path, out: Path, log: Path) -> None:
    """Train VARIANT from its base checkpoint on its triplets, once for each seed.

    Writes seed-<n>/, a folder that sentence-transformers loads (an adapter is merged into the weights and kept
    next to them), and the log of losses and validation. A variant without fine-tuning is its base checkpoint, in
    pretrained/. Work that was killed goes on from its last checkpoint and ends with the same bytes.
    """
    study = params.load()
    threads.limit(study.threads)
    runs = seed_runs.of_variant(study, variant, study.retrievers[variant], checkpoint, triplets)
    if not runs:
        seed_runs.copy_checkpoint(variant, checkpoint, out, log)
        return
    kinds = losses.module(runs[0].recipe.loss.kind), tuning.module(runs[0].tuning.kind)
    one = partial(loop.train, prepare=retriever.prepare, deployed=retriever.deployed, check=reloading.check)
    seed_runs.train(runs, "train", code.fingerprint("stages.train", *kinds), out, log, one)


if __name__ == "__main__":
    main()
