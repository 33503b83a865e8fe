"""Train-reranker: a reranker's models, one for each seed: cross-encoders, or models of late interaction."""

import importlib
from functools import partial
from pathlib import Path

import click

from stages import params
from stages.core import code, threads
from stages.models import architectures, model_folder
from stages.training import loop, losses, reranker, seed_runs, tuning

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--checkpoint", type=folder, required=True, help="the base checkpoint")
@click.option("--triplets", type=folder, required=True, help="the triplets, one file for each seed")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one for each seed")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="loss and RR of 5 candidates by step, JSON")
def main(variant: str, checkpoint: Path, triplets: Path, out: Path, log: Path) -> None:
    """Train reranker VARIANT from its base checkpoint on its triplets, once for each seed.

    Writes seed-<n>/, a folder that sentence-transformers' CrossEncoder or, for late interaction, MultiVectorEncoder
    loads (an adapter is merged into the weights and kept next to them), and the log. A variant without fine-tuning is
    its base checkpoint, in pretrained/; a cross-encoder then needs a trained head. Work that was killed goes on from
    its last checkpoint and ends with the same bytes.
    """
    study = params.load()
    threads.limit(study.threads)
    described = model_folder.describe(checkpoint).architecture
    architecture = reranker.module(described)
    module = importlib.import_module(architecture)
    runs = seed_runs.of_variant(study, variant, study.rerankers[variant], checkpoint, triplets)
    if not runs:
        module.check(checkpoint)
        seed_runs.copy_checkpoint(variant, checkpoint, out, log)
        return
    models = architectures.load_module(described)
    kinds = architecture, losses.module(runs[0].recipe.loss.kind), tuning.module(runs[0].tuning.kind)
    one = partial(loop.train, prepare=module.prepare, deployed=module.deployed, check=models.check_saved)
    seed_runs.train(runs, "train-reranker", code.fingerprint("stages.train_reranker", *kinds), out, log, one)


if __name__ == "__main__":
    main()
