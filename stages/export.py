"""Export: runs, judgments, the table and models' cards, in the forms that others read."""
import json
from pathlib import Path

import click

from stages import params
from stages.collections import canonical
from stages.models import model_folder
from stages.reporting import hub_cards
from stages.reporting import variant_table
from stages.retrieval import runs
from stages.retrieval import trec
from stages.core.errors import UserError
from stages.core.files import publish

RUNS, CORPORA = Path("data/runs"), Path("data/corpora")
RESULTS, TRAINING = Path("reports/results.json"), Path("reports/training")
LOCK, REFERENCES = Path("dvc.lock"), Path("studies/papers/references.bib")


def _not_ours(context, parameter, path: Path | None) -> Path | None:
    if path and Path("data").resolve() in [path.resolve(), *path.resolve().parents]:
        raise UserError(f"--out {path}: what lies in data/ is DVC's; name a place outside it")
    return path


file = click.Path(dir_okay=False, path_type=Path)
out_file = click.option("--out", type=file, required=True, callback=_not_ours, help="the file it is written to")


@click.group()
def main() -> None:
    """Write what the study found in the forms that others read."""


@main.command("run")
@click.argument("variant")
@click.argument("corpus")
@click.argument("split")
@click.option("--copy", help="which trained copy (seed-<n>), where the row has several")
@out_file
def of_run(row: str, corpus: str, split: str, copy: str | None, out: Path) -> None:
    """Write the run of ROW on a judged SPLIT of CORPUS as a TREC file, gzipped where its name ends in .gz.

    The order is the run's own. Equal scores are set apart by the smallest steps of float32, so that every program
    keeps it. The tag is the row, with the copy where it was trained.
    """
    study = params.load()
    _known("params.yaml", row, study.variants, "variant")
    rel = _judged(study, corpus, split)
    search = "search-interpolated" if row in study.interpolations else "search"
    stage = f"rerank@{row}" if row in study.rerankers else f"{search}@{row}-{corpus}"
    home, again = RUNS / row / corpus, f"dvc pull or dvc repro {stage}"
    if not home.is_dir():
        raise UserError(f"{home}: there is no such run here; {again}")
    copy = _chosen(row, [path.name for path in model_folder.seed_runs(home)], copy)
    path = home / copy / f"{split}.parquet"
    if not path.is_file():
        published = study.checkpoints[study.variants[row].checkpoint].architecture == "run"
        raise UserError(f"{path}: there is no such run here; {'a published run is of one split' if published else again}")
    tag = row if copy == "pretrained" else f"{row}.{copy}"
    with publish(out) as draft:
        trec.write(trec.run_text(runs.read(path), tag), draft, out.suffix == ".gz")
    click.echo(f"{out}: {tag} on {corpus} {split}; relevant from grade {rel} (trec_eval -c -l {rel})")


@main.command("qrels")
@click.argument("corpus")
@click.argument("split")
@out_file
def of_qrels(corpus: str, split: str, out: Path) -> None:
    """Write the judgments of a judged SPLIT of CORPUS as TREC qrels, gzipped where the name ends in .gz."""
    rel = _judged(params.load(), corpus, split)
    path = CORPORA / corpus / "qrels" / f"{split}.parquet"
    if not path.is_file():
        raise UserError(f"{path}: is not here; dvc pull or dvc repro download@{corpus}")
    with publish(out) as draft:
        trec.write([trec.qrels_text(canonical.qrels(CORPORA / corpus, split))], draft, out.suffix == ".gz")
    click.echo(f"{out}: relevant from grade {rel} (trec_eval -c -l {rel})")


@main.command("table")
@click.option("--format", "form", type=click.Choice(["latex", "markdown"]), required=True)
@click.option("--out", type=file, callback=_not_ours, help="the file it is written to, if not the screen")
def of_table(form: str, out: Path | None) -> None:
    """Write the table of all rows: value, change against the base, interval and verdict, here and outside."""
    study = params.load()
    text = getattr(variant_table, form)(json.loads(_text(RESULTS)), study.report, study.variants, study.seeds)
    if out:
        _publish(text, out)
    else:
        click.echo(text, nl=False)


@main.command("card")
@click.argument("variant")
@click.option("--copy", help="which trained copy (seed-<n>), where the row has several")
@click.option("--out", type=click.Path(path_type=Path), required=True, callback=_not_ours, help="file *.md, or folder")
def of_model(row: str, copy: str | None, out: Path) -> None:
    """Write the model card of a trained ROW for the hub, to a file *.md or as README.md into a folder."""
    study = params.load()
    _known("params.yaml", row, study.variants, "variant")
    copy = _chosen(row, _trained(row), copy)
    text = _card(study, row, copy, _stages())
    _publish(text, out if out.suffix == ".md" and not out.is_dir() else out / "README.md")


@main.command("cards")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, callback=_not_ours,
              help="the folder they are written to")
def of_models(out: Path) -> None:
    """Write the model card of every trained row to a folder, as <row>/<copy>/README.md."""
    study, stages = params.load(), _stages()
    for row, names in {**study.retrievers, **study.rerankers}.items():
        if study.recipes[names.recipe]:
            for copy in _trained(row):
                _publish(_card(study, row, copy, stages), out / row / copy / "README.md")


def _publish(text: str, path: Path) -> None:
    with publish(path) as draft:
        draft.write_text(text)


def _card(study, row: str, copy: str, stages: dict) -> str:
    return hub_cards.card(row, copy, stages, json.loads(_text(RESULTS)), json.loads(_text(TRAINING / f"{row}.json")),
                          study, _text(REFERENCES))


def _trained(row: str) -> list[str]:
    copies = [f"seed-{copy['seed']}" for copy in json.loads(_text(TRAINING / f"{row}.json"))["seed_runs"]]
    if not copies:
        raise UserError(f"{row}: is not trained, so there is no model of this study to describe; name a trained row")
    return copies


def _stages() -> dict:
    from ruamel.yaml import YAML
    return YAML(typ="safe").load(_text(LOCK))["stages"]


def _known(where: str, name: str, table, kind: str) -> None:
    if name not in table:
        raise UserError(f"{where}: no {kind} is called '{name}'; there are: {', '.join(table)}")


def _judged(study, corpus: str, split: str) -> int:
    """The lowest relevant grade of a judged split."""
    _known("corpora", corpus, study.corpora, "corpus")
    _known(f"corpora.{corpus}.judged", split, study.corpora[corpus].judged, "split")
    return study.corpora[corpus].judged[split].rel


def _chosen(row: str, copies: list[str], copy: str | None) -> str:
    """The copy that was asked for, or the only one."""
    if copy is None and len(copies) == 1:
        return copies[0]
    if copy not in copies:
        asked = f"has no copy '{copy}'" if copy else "has several copies"
        raise UserError(f"{row}: {asked}; say --copy with one of: {', '.join(copies)}")
    return copy


def _text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file here; run dvc repro from the repository's root")
    return path.read_text()


if __name__ == "__main__":
    main()
