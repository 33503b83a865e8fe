"""The study of mitigations, studies/keeping.yaml: what keeps a harmful recipe from degrading the model.

`python -m studies.keeping run` runs it in a clone and goes on where it was stopped; `page` writes the page and the
picture again from the figures that are committed, reports/keeping.json.
"""

import shutil
from pathlib import Path

import click

from stages import params
from stages.analysis import transfer
from stages.core.files import publish
from stages.reporting import markdown, style, transfer_picture
from stages.reporting import transfer as pages
from stages.reporting.contrasts import EARLIER
from stages.reporting.markdown import Block
from stages.reporting.text import Heading, code, link, text
from studies import clones

STUDY = Path("studies/keeping.yaml")
WORK = Path(".scratch/keeping")
REPORTS = Path("reports")


@click.group()
def main() -> None:
    """What keeps a harmful recipe from degrading the model? One mitigation at a time, in domain and out of domain."""


@main.command()
@click.option("--jobs", type=click.IntRange(min=1), help="stages at once; as many as cores and memory allow")
def run(jobs: int | None) -> None:
    """Run the study from the committed code and write reports/keeping.json, .md and .png."""
    clones.run("keeping", WORK, STUDY.read_text(), ["transfer"], jobs)
    with publish(REPORTS / "keeping.json") as draft:
        shutil.copy(WORK / "reports/transfer.json", draft)
    write(REPORTS)


@main.command()
def page() -> None:
    """Write reports/keeping.md and .png from reports/keeping.json."""
    write(REPORTS)


def write(folder: Path) -> None:
    """keeping.md and keeping.png in a folder that has keeping.json."""
    figures = transfer.read(folder / "keeping.json")
    with publish(folder / "keeping.md") as draft:
        draft.write_text(markdown.document(blocks(figures)))
    with publish(folder / "keeping.png") as draft:
        style.save(transfer_picture.scatter(figures), draft)


def blocks(figures: transfer.Transfer) -> list[Block]:
    """The page: what each variant adds to the recipe, then the page of the stage `transfer` without its title."""
    variants = {
        "coded-best": "keeps the weights that ranked validation best during training",
        "coded-l2": "adds a penalty on the distance from the base's weights",
        "coded-distil": "adds one on the divergence from the base's scores",
        "coded-top": "trains the last two layers alone",
        "coded-lora": "trains LoRA adapters",
        "coded-ia3": "trains IA3 vectors",
        "coded-filtered": "takes only negatives that the base scores clearly below the positive",
        "coded-mix": "lies between the base and coded-hard, at the alpha that ranks validation best",
    }
    triplets = params.load(STUDY).triplets["hard"].size
    added = [part for name, what in variants.items() for part in (code(name), f" {what}; ")]
    return [
        Heading("What limits the loss of a recipe that makes the model worse", 1),
        text(
            "The study of ",
            link("studies/keeping.yaml", "../studies/keeping.yaml"),
            ", which ",
            code("python -m studies.keeping run"),
            " runs. ",
            code("coded-hard"),
            f" is the recipe of P1's code on {triplets} hard triplets, which loses {_lost(figures)}. In the default "
            "study the same recipe is worse out of domain alone. Each other variant adds one thing to it: ",
            *added[:-1],
            str(added[-1]).removesuffix("; ") + ". There is one seed, so the figures judge these models and not the "
            "recipes.",
        ),
        EARLIER,
        *pages.page(figures, "keeping.png")[1:],
    ]


def _lost(figures: transfer.Transfer) -> str:
    """What coded-hard loses, in domain and out of domain."""
    coded = next(one for one in figures.variants if one.variant == "coded-hard")
    sides = (("in domain", coded.in_domain), ("out of domain", coded.out_of_domain))
    return " and ".join(f"{-(side.change() or 0):.1f} % {where}" for where, side in sides if side)


if __name__ == "__main__":
    main()
