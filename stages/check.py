"""Check: the whole of params.yaml, before anything heavy runs."""
from pathlib import Path

import click

from stages import params
from stages.training import tuning
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="a constant, once all is well")
def main(out: Path) -> None:
    """Check every name and number of params.yaml, and what can be known of sources without fetching them.

    Stops with one line at the first mistake. Legal but telling settings are printed as warnings, which the report
    repeats. The file written is always the same: every stage depends on it and none runs again because of it.
    """
    study = params.load()
    _check_measures(study.measures)
    for table, rows in (("corpora", study.corpora), ("checkpoints", study.checkpoints)):
        for name, row in rows.items():
            _check_place(f"{table}.{name}.source", row.source)
    for table, rows in (("retrievers", study.retrievers), ("rerankers", study.rerankers)):
        for name, row in rows.items():
            _check_layers(f"{table}.{name}", study.checkpoints[row.checkpoint], study.tunings[row.tuning])
    for warning in study.warnings():
        click.echo(f"warning: {warning}", err=True)
    with publish(out) as draft:
        draft.write_text("params.yaml was checked\n")


def _check_measures(measures: list[str]) -> None:
    import ir_measures
    spelled = {}
    for measure in measures:
        try:
            parsed = ir_measures.parse_measure(measure)
        except (NameError, ValueError) as error:
            raise UserError(f"measures: '{measure}' is not a measure of ir_measures ({error})")
        if parsed in spelled:
            raise UserError(f"measures: '{measure}' and '{spelled[parsed]}' are the same measure; keep one")
        spelled[parsed] = measure


def _check_place(where: str, source: str) -> None:
    """A folder or file on this machine is there, and is not one of those that DVC writes and removes."""
    kind, _, place = source.partition(":")
    if kind in ("beir", "folder", "trec"):
        if not Path(place).exists():
            raise UserError(f"{where}: there is no {'file' if kind == 'trec' else 'folder'} {place}")
        if Path(place).resolve().is_relative_to(Path("data").resolve()):
            raise UserError(f"{where}: {place} lies in data/, which DVC fills and clears; keep yours outside of it")


def _check_layers(where: str, checkpoint, tune) -> None:
    """A layer to tune that is not in the model, found from the header of weights that are already on this machine."""
    if tune.kind in ("none", "full"):
        return
    weights = _local_weights(checkpoint.source)
    if weights:
        try:
            tuning.check_stored(tuning.stored_shapes(weights), tune)
        except UserError as error:
            raise UserError(f"{where}: {error}")


def _local_weights(source: str) -> Path | None:
    from importlib import metadata
    kind, _, place = source.partition(":")
    if kind == "folder":
        found = [Path(place) / "model.safetensors"]
    elif kind == "package":
        try:
            found = [Path(file.locate()) for file in metadata.files(place) or [] if file.name == "model.safetensors"]
        except metadata.PackageNotFoundError:
            raise UserError(f"the package {place} is not installed; pip install -r requirements.lock")
    else:
        found = []
    return next((path for path in found if path.is_file()), None)


if __name__ == "__main__":
    main()
