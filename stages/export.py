"""Export: runs, judgments, the main table and models' cards, in the forms that others read."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from stages import params
from stages.analysis import diagnosis as spaces
from stages.collections import canonical
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import results as files
from stages.models import model_folder
from stages.models.local_settings import Reading
from stages.params import Study
from stages.params.variants import Interpolation
from stages.reporting import (
    exported_model,
    markdown,
    model_cards,
    model_record,
    training_logs,
    untrained_cards,
    variants_table,
)
from stages.reporting.page import provenance
from stages.retrieval import runs, trec

RUNS, CORPORA = Path("data/runs"), Path("data/corpora")
RESULTS, DIAGNOSIS, TRAINING = Path("reports/results.json"), Path("reports/diagnosis.json"), Path("reports/training")
LOCK, REFERENCES = Path("dvc.lock"), Path("studies/papers/references.bib")


def _not_in_data(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path and Path("data").resolve() in [path.resolve(), *path.resolve().parents]:
        raise UserError(f"--out {path}: what is in data/ is DVC's; name a folder outside it")
    return path


file = click.Path(dir_okay=False, path_type=Path)
out_file = click.option("--out", type=file, required=True, callback=_not_in_data, help="the file it is written to")
one_seed_run = click.option("--seed-run", help="which one (seed-<n>), where the variant has several")


@click.group()
def main() -> None:
    """Write what the study found in the forms that others read."""


@main.command("run")
@click.argument("variant")
@click.argument("corpus")
@click.argument("split")
@one_seed_run
@out_file
def export_run(variant: str, corpus: str, split: str, seed_run: str | None, out: Path) -> None:
    """Write the run of VARIANT on a judged SPLIT of CORPUS as a TREC file, gzipped where its name ends in .gz.

    The order is the run's own. Equal scores are set apart by the smallest steps of float32, so that every program
    keeps it. The tag is the variant, with the seed run where it was fine-tuned.
    """
    study = params.load()
    _known("params.yaml", variant, study.variants, "variant")
    rel = _judged(study, corpus, split)
    folder, cure = RUNS / variant / corpus, f"run dvc pull {RUNS / variant} or dvc repro"
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such run here; {cure}")
    seed_run = _chosen(variant, [path.name for path in model_folder.seed_runs(folder)], seed_run)
    path = folder / seed_run / f"{split}.parquet"
    if not path.is_file():
        block = study.retrievers.get(variant)
        published = block and study.checkpoints[block.checkpoint].architecture == "published-run"
        cure = "a published run is of one split" if published else cure
        raise UserError(f"{path}: there is no such run here; {cure}")
    tag = variant if seed_run == "pretrained" else f"{variant}.{seed_run}"
    with publish(out) as draft:
        trec.write(trec.run_text(runs.read(path), tag), draft, out.suffix == ".gz")
    click.echo(f"{out}: {tag} on {corpus} {split}; relevant from grade {rel} (trec_eval -c -l {rel})")


@main.command("qrels")
@click.argument("corpus")
@click.argument("split")
@out_file
def export_qrels(corpus: str, split: str, out: Path) -> None:
    """Write the judgments of a judged SPLIT of CORPUS as TREC qrels, gzipped where the name ends in .gz."""
    rel = _judged(params.load(), corpus, split)
    path = CORPORA / corpus / "qrels" / f"{split}.parquet"
    if not path.is_file():
        raise UserError(f"{path}: is not here; run dvc pull {CORPORA / corpus} or dvc repro")
    with publish(out) as draft:
        trec.write([trec.qrels_text(canonical.qrels(CORPORA / corpus, split))], draft, out.suffix == ".gz")
    click.echo(f"{out}: relevant from grade {rel} (trec_eval -c -l {rel})")


@main.command("table")
@click.option("--format", "form", type=click.Choice(["latex", "markdown"]), required=True)
@click.option("--out", type=file, callback=_not_in_data, help="the file it is written to, if not the screen")
def export_table(form: str, out: Path | None) -> None:
    """Write the table of all variants: value, change against the base, interval and verdict, in and out of domain."""
    study = params.load()
    results = files.read(_existing(RESULTS))
    text = variants_table.paper(study, results)
    if form == "markdown":
        text = markdown.document(variants_table.tables(study, results).values())
    if out:
        _write(text, out)
        click.echo(f"{out}: {len(study.variants)} variants")
    else:
        click.echo(text, nl=False)


@main.command("card")
@click.argument("variant")
@one_seed_run
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, callback=_not_in_data, help="file *.md, or folder"
)
def export_card(variant: str, seed_run: str | None, out: Path) -> None:
    """Write the model card of a fine-tuned VARIANT for the hub, to a file *.md or as README.md into a folder."""
    study = params.load()
    _known("params.yaml", variant, study.variants, "variant")
    if variant in study.fusions:
        members = ", ".join(study.members(variant))
        raise UserError(f"{variant}: fuses the runs of {members} and has no model of its own; name one of these")
    seed_run = _chosen(variant, _trained(variant), seed_run)
    path = out if out.suffix == ".md" and not out.is_dir() else out / "README.md"
    _write(_card(study, variant, seed_run), path)
    click.echo(f"{path}: {variant}, {seed_run}")


@main.command("model")
@click.argument("variant")
@one_seed_run
@click.option("--onnx", is_flag=True, help="also as ONNX, by sentence-transformers' own export")
@click.option("--openvino", is_flag=True, help="also for OpenVINO, by sentence-transformers' own export")
@click.option("--python", default=sys.executable, help="the Python of an environment that can export so")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    callback=_not_in_data,
    help="the folder of the model, which must not be there yet",
)
def export_model(variant: str, seed_run: str | None, onnx: bool, openvino: bool, python: str, out: Path) -> None:
    """Write the model of VARIANT as a folder that sentence-transformers loads, with its model card.

    Before it is there a new process loads it, and its scores must be those of the model here and, within what its
    precision explains, of its run. Of a fine-tuned variant the card is that of `card`.
    """
    study = params.load()
    _known("params.yaml", variant, study.variants, "variant")
    if out.exists():
        raise UserError(f"--out {out}: is there already; name a folder that is not")
    backends = [name for name, asked in (("onnx", onnx), ("openvino", openvino)) if asked]
    seed_run = _chosen(variant, exported_model.seed_runs(study, variant), seed_run)
    card = partial(_readme, study, variant)
    for line in exported_model.write(study, variant, seed_run, out, card, backends, python):
        click.echo(line)
    click.echo(f"{out}: {variant}, {seed_run}")


def _readme(study: Study, variant: str, seed_run: str) -> str:
    """The text of a model's card: of an interpolation that of what it moves, of a base checkpoint a short one."""
    if variant in study.interpolations:
        log = training_logs.read(TRAINING, [variant])[variant]
        return untrained_cards.interpolated(_card(study, variant, seed_run), study, variant, seed_run, log)
    if study.recipes[{**study.trained, **study.rerankers}[variant].recipe]:
        return _card(study, variant, seed_run)
    return untrained_cards.of_base(study, variant, files.read(_existing(RESULTS)), _reading(variant))


@main.command("cards")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    callback=_not_in_data,
    help="the folder they are written to",
)
def export_cards(out: Path) -> None:
    """Write the model card of every fine-tuned variant to a folder, as <variant>/<seed run>/README.md."""
    study = params.load()
    for variant, block in {**study.trained, **study.rerankers}.items():
        if study.recipes[block.recipe]:
            for seed_run in _trained(variant):
                path = out / variant / seed_run / "README.md"
                _write(_card(study, variant, seed_run), path)
                click.echo(f"{path}: {variant}, {seed_run}")


def _write(text: str, path: Path) -> None:
    with publish(path) as draft:
        draft.write_text(text)


def _card(study: Study, variant: str, seed_run: str) -> str:
    """The card of a trained variant, or of an interpolation as far as it is that of what it moves."""
    block = study.variants[variant]
    trained = block.trained if isinstance(block, Interpolation) else variant
    log = training_logs.read(TRAINING, [trained])[trained]
    chosen = log.search.trials[log.search.chosen].params if log.search else None
    record = model_record.read(provenance.recorded(_existing(LOCK)), trained, study, chosen)
    references = _existing(REFERENCES).read_text()
    results = files.read(_existing(RESULTS))
    return model_cards.card(
        study, seed_run, replace(record, variant=variant), results, log, references, _reading(variant)
    )


def _reading(variant: str) -> Reading | None:
    return spaces.read(DIAGNOSIS).readings.get(variant) if DIAGNOSIS.is_file() else None


def _trained(variant: str) -> list[str]:
    """The seed runs of a variant's training. Raises UserError where it was not fine-tuned."""
    seed_runs = [f"seed-{run.seed}" for run in training_logs.read(TRAINING, [variant])[variant].seed_runs]
    if not seed_runs:
        raise UserError(f"{variant}: was not fine-tuned, so there is no model to describe; name a variant that was")
    return seed_runs


def _known(where: str, name: str, names: Collection[str], kind: str) -> None:
    if name not in names:
        raise UserError(f"{where}: no {kind} is called '{name}'; there are: {', '.join(names)}")


def _judged(study: Study, corpus: str, split: str) -> int:
    """The lowest relevant grade of a judged split."""
    _known("corpora", corpus, study.corpora, "corpus")
    _known(f"corpora.{corpus}.judged", split, study.corpora[corpus].judged, "split")
    return study.corpora[corpus].judged[split].rel


def _chosen(variant: str, seed_runs: Sequence[str], seed_run: str | None) -> str:
    """The seed run that was asked for, or the only one."""
    if seed_run is None and len(seed_runs) == 1:
        return seed_runs[0]
    if seed_run is None or seed_run not in seed_runs:
        asked = f"has no seed run '{seed_run}'" if seed_run else "has several seed runs"
        raise UserError(f"{variant}: {asked}; say --seed-run with one of: {', '.join(seed_runs)}")
    return seed_run


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file here; run dvc repro from the repository's root")
    return path


if __name__ == "__main__":
    main()
