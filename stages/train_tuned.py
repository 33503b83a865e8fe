"""Train tuned: the models of the setting that a search chose, one for each seed."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from stages import params
from stages.core import code, threads
from stages.core.files import publish
from stages.training import losses, searched, seed_runs, tuning

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--checkpoint", type=folder, required=True, help="the base checkpoint")
@click.option("--triplets", type=folder, required=True, help="the triplets, one file for each seed")
@click.option("--search", type=folder, required=True, help="the search: its trials and the setting that it chose")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one for each seed")
@click.option(
    "--log", type=click.Path(path_type=Path), required=True, help="loss and RR@10 on validation by step, trials, JSON"
)
def main(variant: str, checkpoint: Path, triplets: Path, search: Path, out: Path, log: Path) -> None:
    """Train VARIANT with the setting that its search chose, once for each seed, as the verb train does.

    With an alpha below 1 each model then moves back towards its base checkpoint. The log holds the trials as well.
    """
    study = params.load()
    threads.limit(study.threads)
    chosen = searched.read(search / "chosen.json")
    plain = seed_runs.of_variant(study, variant, study.searches[variant], checkpoint, triplets)
    recipe = chosen.recipe.model_copy(update={"precision": plain[0].recipe.precision})
    runs = [replace(run, tuning=chosen.tuning, recipe=recipe) for run in plain]
    kinds = losses.module(chosen.recipe.loss.kind), tuning.module(chosen.tuning.kind)
    made_by = f"{code.fingerprint('stages.train_tuned', *kinds)} {chosen.alpha}"
    seed_runs.train(runs, "train-tuned", made_by, out, log, partial(searched.train_chosen, alpha=chosen.alpha))
    record = {**json.loads(log.read_text()), "search": json.loads((search / "trials.json").read_text())}
    with publish(log) as draft:
        draft.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
