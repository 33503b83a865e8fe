"""The study of training size, studies/curve.yaml: would more training pairs of the default collection help?

`python -m studies.curve run` runs it in a clone and goes on where it was stopped; `page` writes reports/curve/README.md
and its picture again from the figures that are committed beside them.
"""

import shutil
from pathlib import Path

import click

from stages import params
from stages.core.files import publish
from stages.evaluation import results
from stages.reporting import growth, markdown, style
from stages.reporting.markdown import Block
from stages.reporting.text import Heading, code, link, picture, text
from studies import clones

STUDY = Path("studies/curve.yaml")
WORK = Path(".scratch/curve")
REPORTS = Path("reports/curve")
FIGURES = ("results.json", "pairs.json")


@click.group()
def main() -> None:
    """Would more training pairs help? One recipe on a quarter, a half and all of them, with three seeds."""


@main.command()
@click.option("--jobs", type=click.IntRange(min=1), help="stages at once; as many as cores and memory allow")
def run(jobs: int | None) -> None:
    """Run the study from the committed code and write its figures, page and picture to reports/curve."""
    clones.run("curve", WORK, STUDY.read_text(), ["evaluate"], jobs)
    for name in FIGURES:
        with publish(REPORTS / name) as draft:
            shutil.copy(WORK / "reports" / name, draft)
    write(REPORTS)


@main.command()
def page() -> None:
    """Write the page and the picture again from the figures in reports/curve."""
    write(REPORTS)


def write(folder: Path) -> None:
    """README.md and curve.png in a folder that has the study's figures."""
    study, found = params.load(STUDY), results.read(folder / "results.json")
    compared = results.read_pairs(folder / "pairs.json")
    with publish(folder / "README.md") as draft:
        draft.write_text(markdown.document(blocks(study, found, compared)))
    with publish(folder / "curve.png") as draft:
        style.save(growth.curves(study, found), draft)


def blocks(study: params.Study, found: list[results.Result], compared: list[results.Pair]) -> list[Block]:
    """What was run, then the report's part on training size, with the picture that lies beside it."""
    seeds = ", ".join(map(str, study.seeds))
    return [
        Heading("Would more training pairs help?", 1),
        text(
            "The study of ",
            link("studies/curve.yaml", "../../studies/curve.yaml"),
            ", which ",
            code("python -m studies.curve run"),
            f" runs: the default collection, the default study's rate, which a sweep on dev chose, and seeds {seeds}.",
        ),
        *growth.blocks(study, found, compared)[1:-1],
        picture("RR@10 over the number of training triplets", "curve.png"),
    ]


if __name__ == "__main__":
    main()
