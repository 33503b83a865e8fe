"""Costs: what the stages cost when they last ran, gathered for the report."""

import json
from pathlib import Path

import click

from stages import params
from stages.core import costs
from stages.core.files import publish


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="all figures, JSON")
def main(out: Path) -> None:
    """Gather seconds, rates and memory of every stage into one file.

    DVC runs this stage when results change, so that the same results on another machine leave the committed file as it
    is. What a stage did not record on this machine keeps the figures that the file already had.
    """
    study = params.load()
    figures = costs.gathered(costs.recorded(out), {*study.variants, *study.corpora, *study.scored})
    with publish(out) as draft:
        draft.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
