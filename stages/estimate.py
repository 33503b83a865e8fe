"""Estimate: what a study takes in time, memory and disk on a given machine, before anything of it is fetched."""

from pathlib import Path
from textwrap import wrap

import click

from stages import params
from stages.core import yaml_file
from stages.core.files import publish
from stages.planning import clocked, estimate
from stages.planning.estimate import Estimate
from stages.running import console

RATES = Path("studies/machines/two-cores.json")
WIDTH = 100
LEAST = 60.0  # seconds; kinds of stages that take less are in the sum alone


@click.group()
def main() -> None:
    """What a study takes in time, memory and disk on a given machine."""


@main.command()
@click.argument("path", metavar="PARAMS", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--rates", type=click.Path(path_type=Path), default=RATES, show_default=True, help="what a machine does in a second"
)
@click.option("--jobs", default=1, type=click.IntRange(min=1), show_default=True, help="stages at once, such as GPUs")
def study(path: Path, rates: Path, jobs: int) -> None:
    """Print what each kind of stage of PARAMS takes, and what was assumed; nothing is fetched.

    PARAMS is a file like those in studies/papers. A collection's size is that on disk, or the published one; your own
    is read where it lies. `measure` writes the rates of another machine.
    """
    machine = estimate.read(rates)
    made = estimate.made(params.load(path), yaml_file.load(path), yaml_file.load(Path("dvc.yaml")), machine, jobs)
    said = _items(_assumed(made, machine))
    for line in [*_table(made), "", *wrap(_totals(made), WIDTH), "", "Assumed:", *said]:
        click.echo(line)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the rates, JSON")
def measure(out: Path) -> None:
    """Measure the base of params.yaml on its collection for about a minute, and write what this machine does."""
    with publish(out) as draft:
        draft.write_text(estimate.as_json(clocked.measured(params.load())))
    click.echo(out.read_text())


def duration(seconds: float) -> str:
    """In days from two on, else as the console has it."""
    return f"{seconds / 86400:,.1f} days" if seconds >= 2 * 86400 else console.duration(seconds)


def _table(made: Estimate) -> list[str]:
    heads = f"{'stage':<22}{'runs':>6}{'the longest':>16}{'all':>16}{'memory, GB':>14}{'disk, GB':>12}"
    return [
        heads,
        *(
            f"{line.kind:<22}{line.number:>6}{duration(line.longest):>16}{duration(line.seconds):>16}"
            f"{line.memory:>14.1f}{line.disk:>12.1f}"
            for line in made.lines
            if line.seconds >= LEAST or line.disk >= 0.05
        ),
    ]


def _totals(made: Estimate) -> str:
    one = sum(line.seconds for line in made.lines)
    size, most = sum(line.disk for line in made.lines), max(line.memory for line in made.lines)
    at_once = f", {duration(made.seconds)} with {made.jobs} stages at once" if made.jobs > 1 else ""
    return (
        f"In all {duration(one)} one stage after the other{at_once}; {size:,.1f} GB in data, as much again in DVC's "
        f"cache where the file system shares no blocks; up to {most:.1f} GB of memory for a stage."
    )


def _assumed(made: Estimate, machine: estimate.Machine) -> list[str]:
    return [
        f"{machine.name}: {machine.tokens:,.0f} tokens a second encoded and {machine.trained:,.0f} trained on by a "
        f"model of {machine.computed / 1e6:.1f} million weights beside its embeddings, fewer by one that has more; "
        f"{machine.searched / 1e6:,.0f} million pairs of 384 numbers a second searched",
        f"texts have {estimate.TOKENS} tokens a word; the time to fetch them is not in it",
        *made.assumed,
    ]


def _items(said: list[str]) -> list[str]:
    return [line for one in said for line in wrap(one, WIDTH, initial_indent="- ", subsequent_indent="  ")]


if __name__ == "__main__":
    main()
