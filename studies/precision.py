"""What computing in the hardware's own precision costs in quality on the study's collections, with the base checkpoint.

python -m studies.precision        # after dvc repro; studies.mteb does the same on SciFact
"""

from pathlib import Path

import click

from stages import params
from stages.models import encoding, precision
from studies import collecting
from studies.mteb import compared, measured

DATA = Path("data")


@click.command()
def main() -> None:
    """Print, for each judged split, the measures in float32 and in what this machine computes natively."""
    native = precision.native()
    if native == "float32":
        raise click.ClickException(f"{precision.hardware()} computes natively in float32 alone")
    study = params.load()
    base = DATA / "checkpoints" / study.retrievers[study.report.base].checkpoint
    collecting.require(base, *(DATA / "corpora" / corpus for corpus in study.corpora))
    model = encoding.load_encoder(base)
    for corpus, block in study.corpora.items():
        for split in block.judged:
            whole, half = (measured(model, DATA / "corpora" / corpus, split, name) for name in ("float32", native))
            click.echo(f"{corpus} {split}")
            click.echo("\n".join(compared(whole, half, native)))


if __name__ == "__main__":
    main()
