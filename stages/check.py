"""Check: the whole of params.yaml, before anything heavy runs."""

import os
import subprocess
from collections.abc import Collection
from itertools import product
from pathlib import Path

import click

from stages import params
from stages.collections import readers
from stages.core import on_ray, paths, prune, scratch
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import caps, first_layers, local_settings, local_weights
from stages.params import plans
from stages.params.corpora import LOCAL, Corpus
from stages.params.models import Checkpoint
from stages.params.tuning import Tuning
from stages.params.variants import Recipe
from stages.running import machine, ownership
from stages.training import processes
from stages.training.tuning import frozen, methods, stored

LENGTHS = ("tokens", "query_tokens", "passage_tokens")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="what DVC tracks: corpora, models, runs")
@click.option("--training", type=click.Path(path_type=Path), required=True, help="the training logs")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="a constant, written when all is well")
def main(data: Path, training: Path, out: Path) -> None:
    """Check every name and number of params.yaml, and what can be known of its sources without fetching them.

    Stops with one line at the first error. Legal but telling settings are printed as warnings, which the report
    repeats. Outputs of variants and corpora that params.yaml no longer names are removed here and nowhere else, with
    what killed runs left a week ago. The file written is always the same, so that it makes no other stage stale.
    """
    try:
        study = params.load()
        _check(study)
    except UserError as error:
        raise UserError(f"{error.message}{_way_back()}")
    for line in [*pruned(study, data, training), *scratch.clear(data)]:
        click.echo(line)
    for warning in study.warnings():
        click.echo(f"warning: {warning}", err=True)
    with publish(out) as draft:
        draft.write_text("params.yaml was checked\n")


def _way_back() -> str:
    """How to undo what -S wrote, where another params.yaml is committed; not of a new plan, which would be lost."""
    try:
        said = subprocess.run(["git", "status", "--porcelain", "params.yaml"], capture_output=True, text=True).stdout
    except OSError:
        return ""
    helps = "M" in said[:2] and not ownership.is_of_a_new_plan()
    return "; git restore -SW params.yaml brings back the committed one" if helps else ""


def _check(study: params.Study) -> None:
    """Raises UserError for the first wrong name or number that is not seen in params.yaml alone."""
    check_measures(study.measures)
    for table, blocks in (("corpora", study.corpora), ("checkpoints", study.checkpoints)):
        for name, block in blocks.items():
            _check_source(f"{table}.{name}.source", block.source)
    for name, checkpoint in study.checkpoints.items():
        _check_first_layers(name, checkpoint)
    for name in study.corpora:
        _check_splits(study, name)
    for name, tuning in study.tunings.items():
        _check_method(name, tuning)
    for table, variants in (("retrievers", study.retrievers), ("rerankers", study.rerankers)):
        for name, variant in variants.items():
            checkpoint = study.checkpoints[variant.checkpoint]
            _check_layers(f"{table}.{name}", checkpoint, study.tunings[variant.tuning])
            if table == "retrievers":
                _check_similarity(f"{table}.{name}", checkpoint, variant.recipe, study.recipes[variant.recipe])
    check_teachers(study)
    check_lengths(study)
    check_scale(study)
    if not _elsewhere():
        check_precision(study)
        processes.check_devices(study.scale.training.processes)


def check_measures(measures: list[str]) -> None:
    """Raises UserError for a measure that ir_measures does not know, and for two spellings of one."""
    import ir_measures

    spelled: dict[object, str] = {}
    for measure in measures:
        try:
            parsed = ir_measures.parse_measure(measure)
        except (NameError, ValueError) as error:
            raise UserError(f"measures: '{measure}' is not a measure of ir_measures ({error})")
        if parsed in spelled:
            raise UserError(f"measures: '{measure}' and '{spelled[parsed]}' are the same measure; keep one")
        spelled[parsed] = measure


def check_teachers(study: params.Study) -> None:
    """Raises UserError for a file of a teacher's scores that is not there."""
    for name, block in study.scored.items():
        if block.teacher_kind == "file" and not Path(block.teacher).is_file():
            raise UserError(f"scored.{name}.teacher: there is no file {block.teacher} below {Path.cwd()}")


def check_lengths(study: params.Study) -> None:
    """Raises UserError where texts are to be cut beyond what a model on this machine can read."""
    for name, checkpoint in study.checkpoints.items():
        for config in local_settings.configs(checkpoint.source):
            try:
                caps.check(config, **_lengths(checkpoint))
            except UserError as error:
                raise UserError(f"checkpoints.{name}.{error}; lower it, or leave it out")
    encoding = {variant.checkpoint: study.checkpoints[variant.checkpoint] for variant in study.searchers.values()}
    for (name, checkpoint), (corpus, block) in product(encoding.items(), study.corpora.items()):
        for config in local_settings.configs(checkpoint.source):
            try:
                caps.check(config, **_lengths(block))
            except UserError as error:
                raise UserError(f"corpora.{corpus}.{error} (checkpoints.{name}); lower it, or leave it out")


def _lengths(block: Checkpoint | Corpus) -> dict[str, int | None]:
    return {name: getattr(block, name) for name in LENGTHS}


def check_scale(study: params.Study) -> None:
    """Raises UserError where Ray is to encode and is not installed, and for processes far beyond this machine's cores.

    Where there is a GPU, the processes of a training take GPUs, which the training counts itself. Where other machines
    compute, they are what counts.
    """
    training = 0 if has_gpu() else study.scale.training.processes
    asked = {} if _elsewhere() else {"search": study.scale.search.processes, "training": training}
    for name, number in asked.items():
        if number > 2 * (cores := machine.cores()):
            raise UserError(f"scale.{name}.processes: {number} are too many for the {cores} cores here; say {cores}")
    try:
        if study.scale.encoding.engine == "ray":
            on_ray.check()
    except UserError as error:
        raise UserError(f"scale.encoding.engine: {error}")


def check_precision(study: params.Study) -> None:
    """Raises UserError where something is to be computed in float16 here, no GPU is here, and none is asked of Ray."""
    recipes = {variant.recipe for variant in [*study.retrievers.values(), *study.rerankers.values()]}
    asked = {
        "index.precision": study.index.precision,
        **({"rerank.precision": study.rerank.precision} if study.rerankers else {}),
        **{f"recipes.{name}.precision": recipe.precision for name in recipes if (recipe := study.recipes[name])},
    }
    elsewhere = {"index.precision"} if study.scale.encoding.gpus_per_actor else set()
    where = sorted(name for name, precision in asked.items() if precision == "float16" and name not in elsewhere)
    if where and not has_gpu():
        raise UserError(f"{where[0]}: float16 needs a GPU, and this machine has none; use bfloat16 or float32")


def _elsewhere() -> bool:
    """Whether other machines compute this study."""
    return bool(os.environ.get(on_ray.AWAY))


def has_gpu() -> bool:
    """Whether sentence-transformers would put a model on anything but the CPU."""
    from sentence_transformers.util import get_device_name

    return get_device_name() != "cpu"


def pruned(study: params.Study, data: Path, training: Path) -> list[str]:
    """Remove the outputs that belong to no block of the study any more; returns one line for each."""
    kept: dict[str, list[Collection[str]]] = {
        "corpora": [study.corpora],
        "checkpoints": [study.checkpoints],
        "pools": [study.pools],
        "triplets": [study.training_sets],
        "searches": [study.searches],
        "models": [study.variants],
        "indexes": [study.searchers, study.corpora],
        "runs": [study.variants, {*study.corpora, "keys", "computed"}],
    }
    lines = [line for folder, names in kept.items() for line in prune.remove(data / folder, *names)]
    return lines + prune.remove(training, study.variants)


def _check_source(where: str, source: str) -> None:
    """A folder or file on this machine exists, and is not one of those that DVC writes and removes."""
    kind, _, name = source.partition(":")
    if kind not in ("beir", "folder", "trec") and not (kind == "hf" and name.startswith(LOCAL)):
        return
    path = paths.of_user(name)
    if not path.exists():
        absolute = "" if path.is_absolute() else f" below {Path.cwd()}; an absolute path is the same everywhere"
        raise UserError(f"{where}: there is no {'file' if kind == 'trec' else 'folder'} {path}{absolute}")
    if path.resolve().is_relative_to(Path("data").resolve()):
        raise UserError(f"{where}: {name} is in data/, which DVC fills and clears; keep yours outside of it")


def _check_splits(study: params.Study, name: str) -> None:
    """The splits that a corpus names are in its folder; if not, one line says all that has to change."""
    where = f"corpora.{name}.source"
    try:
        there = readers.splits(study.corpora[name])
    except UserError as error:
        raise UserError(f"{where}: {error}")
    plan = None if there is None else plans.for_splits(study, name, there)
    if plan:
        raise UserError(f"{where}: {study.corpora[name].source} {plan}")


def _check_first_layers(name: str, checkpoint: Checkpoint) -> None:
    """A model that is to be cut has more layers than are kept, where its config.json is on this machine."""
    for config in local_settings.configs(checkpoint.source) if checkpoint.layers else []:
        try:
            first_layers.check(config, checkpoint.layers or 0)
        except UserError as error:
            raise UserError(f"checkpoints.{name}.{error}")


def _check_layers(where: str, checkpoint: Checkpoint, block: Tuning) -> None:
    """A layer to tune that is not in the model is found from the header of weights that are already on this machine."""
    if block.kind == "none":
        return
    try:
        if block.kind == "peft":
            for config in local_settings.configs(checkpoint.source):
                kept = first_layers.cut_config(config, checkpoint.layers) if checkpoint.layers else config
                methods.rehearse(block, kept)
        elif block.kind == "frozen" and checkpoint.layers:
            frozen.check_layers(block.layers, checkpoint.layers)
        elif weights := local_weights.of_source(checkpoint.source):
            stored.check(weights, block)
    except UserError as error:
        raise UserError(f"{where}: {error}")


def _check_method(name: str, block: Tuning) -> None:
    """A method of peft, one of its fields or a value of it that peft does not have."""
    if block.kind == "peft":
        try:
            methods.configuration(block)
        except UserError as error:
            raise UserError(f"{name}.{error}")


def _check_similarity(where: str, checkpoint: Checkpoint, name: str, recipe: Recipe | None) -> None:
    """A recipe that trains another similarity than the model is searched by is found from files on this machine."""
    similarity = checkpoint.similarity or (local_settings.similarity(checkpoint.source) if recipe else None)
    if recipe and similarity and (why := recipe.contradiction(similarity)):
        raise UserError(f"{where}: recipes.{name}: {why}")


if __name__ == "__main__":
    main()
