"""Tune: the setting of a variant that ranks validation best, of as many trials as a budget allows."""

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages import params
from stages.core import code, costs, fingerprint, scratch, threads
from stages.core.files import link, publish
from stages.models import model_folder
from stages.negatives import search_sample
from stages.params import Study
from stages.params.searches import Searched, Value, own, setting
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe
from stages.training import losses, searched, seed_runs, trials, tuning
from stages.training.seed_runs import SeedRun
from stages.training.trials import Trial

READ = ("docs.parquet", "qrels/validation.parquet", "topics/validation.parquet")  # of a corpus
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name", metavar="SEARCH")
@click.option("--checkpoint", type=folder, required=True, help="the base checkpoint of the variant")
@click.option(
    "--triplets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="the variant's triplets of the search's seed",
)
@click.option("--collection", type=folder, required=True, help="the corpus of the triplets")
@click.option("--index", type=folder, required=True, help="the index of that corpus by report.base")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of trials.json and chosen.json")
def main(name: str, checkpoint: Path, triplets: Path, collection: Path, index: Path, out: Path) -> None:
    """Search the space of SEARCH for the setting whose model ranks validation best.

    Every trial trains one seed run. Trial 0 is the variant's own setting where the space holds it. Nothing of a judged
    split is read. Writes trials.json, all trials with their curves, and chosen.json, the setting that was best; the
    same at the same seed. A search that was killed goes on with the trial that it was at.
    """
    study = params.load()
    threads.limit(study.threads)
    block, clock = study.searches[name], costs.Clock()
    start = searched.first_setting(study, name, checkpoint, triplets.parent)
    first = _own(study, block)
    seed_run = model_folder.seed_runs(index)[0]
    with scratch.workspace("tune", _key(study, start, block, collection, seed_run)) as work, publish(out) as draft:
        placed = _placed(study, start, block, collection, seed_run, work)
        found = trials.search(
            block,
            first,
            work / "journal.log",
            lambda number, values, ends: searched.try_setting(placed, work, number, values, ends),
        )
        _write(study, name, placed.validation, found, first is not None, draft)
    costs.record("tune", f"{name}.search", seconds=clock.seconds(), trials=len(found))


def _tuned(study: Study, block: Searched) -> tuple[FineTuning, Recipe]:
    """The tuning and the recipe that a search begins from."""
    tuned, recipe = study.tunings[block.tuning], study.recipes[block.recipe]
    if tuned.kind == "none" or recipe is None:
        raise ValueError(f"{block.variant} is not fine-tuned")
    return tuned, recipe


def _own(study: Study, block: Searched) -> dict[str, Value] | None:
    """The variant's own setting by place; None where the space does not hold it."""
    values = {place: own(*_tuned(study, block), place) for place in block.space}
    return values if all(block.space[place].holds(value) for place, value in values.items()) else None


def _key(study: Study, start: SeedRun, block: Searched, collection: Path, index: Path) -> str:
    """What an unfinished search belongs to: its seed run, space, sample and code."""
    made_by = code.fingerprint("stages.tune", losses.module(start.recipe.loss.kind), tuning.module(start.tuning.kind))
    inputs = [fingerprint.of_file(collection / name) for name in READ]
    inputs += [fingerprint.of_folder(folder) for folder in (index, start.checkpoint)]
    settings = [block.model_dump(mode="json"), start.curve.model_dump(), study.search.block]
    versions = [metadata.version(name) for name in (*seed_runs.LIBRARIES, "optuna")]
    return fingerprint.of_values(start.record(), inputs, settings, made_by, versions)


def _placed(study: Study, start: SeedRun, block: Searched, collection: Path, index: Path, work: Path) -> SeedRun:
    """The seed run with its triplets next to the sample that trials are scored on, in the workspace."""
    data = work / "data"
    if not data.exists():
        drop_self = any(rules.drop_self for rules in study.corpora[block.corpus].judged.values())
        with publish(data) as draft:
            link(start.triplets, draft / start.triplets.name)
            search_sample.write(
                collection, index, block.top, block.random, study.search.block, drop_self, draft / "validation"
            )
    return replace(start, triplets=data / start.triplets.name)


def _write(study: Study, name: str, sample: Path, found: list[Trial], has_own: bool, draft: Path) -> None:
    """trials.json and chosen.json in a new folder; prints a line for each trial."""
    draft.mkdir()
    block, best = study.searches[name], trials.best(found)
    chosen = searched.Chosen(best.number, best.params, *setting(*_tuned(study, block), best.params))
    sizes = {part: pq.read_metadata(sample / f"{part}.parquet").num_rows for part in ("queries", "passages")}
    record = {
        "variant": block.variant,
        "seed": block.seed,
        "sample": sizes,
        "own": 0 if has_own else None,
        "chosen": best.number,
        "space": {place: axis.model_dump(mode="json", exclude_defaults=True) for place, axis in block.space.items()},
        "trials": [trial.as_json() for trial in found],
    }
    for path, content in (("trials.json", record), ("chosen.json", chosen.as_json())):
        (draft / path).write_text(json.dumps(content, indent=1) + "\n")
    for trial in found:
        value = "ended early" if trial.value is None else f"RR@10 {trial.value:.4f}"
        click.echo(f"{name}: trial {trial.number}, {value}{', chosen' if trial == best else ''}: {trial.params}")


if __name__ == "__main__":
    main()
