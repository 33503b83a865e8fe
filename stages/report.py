"""Report: the study's tables, in Markdown."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from stages import params
from stages.analysis import diagnosis as spaces
from stages.analysis import transfer as transfers
from stages.collections import canonical
from stages.core import costs as recorded
from stages.core.files import publish
from stages.evaluation import examples
from stages.evaluation import results as files
from stages.negatives import hardness
from stages.params import Study
from stages.reporting import (
    answer,
    collections_table,
    costs_table,
    examples_table,
    growth,
    hybrids,
    makeup,
    markdown,
    readings,
    results_tables,
    searches,
    space_table,
    training_logs,
    training_table,
    variants_table,
)
from stages.reporting import negatives as audits
from stages.reporting import transfer as transfer_page
from stages.reporting.markdown import Block
from stages.reporting.text import Heading, Text, link, picture, strong, text

folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--results", type=file, required=True, help="means and comparisons with the base, JSON")
@click.option("--pairs", type=file, required=True, help="variants compared with each other, JSON")
@click.option("--examples", type=file, required=True, help="queries before and after, JSON")
@click.option("--training", type=folder, required=True, help="training logs, one for each variant")
@click.option("--projection", type=file, required=True, help="figures of the shared projection, JSON")
@click.option("--negatives", type=file, required=True, help="the audit of the triplets, JSON")
@click.option("--diagnosis", type=file, required=True, help="vector spaces and numerical checks, JSON")
@click.option("--transfer", type=file, required=True, help="what variants cost out of domain, JSON")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their cards")
@click.option("--costs", type=output, required=True, help="seconds and memory of the stages, JSON")
@click.option("--out", type=output, required=True, help="the whole report")
@click.option("--table", type=output, required=True, help="its answer and main table, which the README repeats")
@click.option("--answer", "answered", type=output, required=True, help="the answer as data, JSON")
@click.option("--costs-page", type=output, required=True, help="what the stages cost")
def main(out: Path, table: Path, answered: Path, costs_page: Path, **inputs: Path) -> None:
    """Write the report: the answer, what got better or worse and by how much, and all that is behind it."""
    study = params.load()
    logs = training_logs.read(inputs["training"], study.variants)
    opening = _opening(study, logs, inputs)
    pages: dict[Path, list[Block]] = {
        table: opening,
        out: [
            Heading("Report", 1),
            *(text(strong("Warning:"), f" {warning}.") for warning in warnings(study, inputs)),
            *opening,
            *_comparisons(study, logs, inputs),
            *_behind(study, logs, inputs),
        ],
        costs_page: [
            Heading("Costs", 1),
            "What the stages cost in the run that produced these results, on the machine named.",
            costs_table.everything(recorded.recorded(inputs["costs"])),
        ],
    }
    for path, blocks in pages.items():
        with publish(path) as draft:
            draft.write_text(markdown.document(blocks))
    with publish(answered) as draft:
        draft.write_text(answer.as_json(study, files.read(inputs["results"]), files.read_pairs(inputs["pairs"])))


def warnings(study: Study, inputs: Mapping[str, Path]) -> list[str]:
    """What is legal and telling, in the settings and in what was cut of the texts."""
    return [*study.warnings(), *readings.warnings(spaces.read(inputs["diagnosis"]))]


def _opening(study: Study, logs: Mapping[str, training_logs.TrainingLog], inputs: Mapping[str, Path]) -> list[Block]:
    """The answer, the main table, and those of what else was tried and of the rerankers."""
    results, pairs = files.read(inputs["results"]), files.read_pairs(inputs["pairs"])
    return [*answer.paragraphs(study, results, logs, pairs), *variants_table.tables(study, results).values()]


def _out_of_domain(transfer: transfers.Transfer) -> list[Block]:
    """Averages over the sets out of domain with their picture; of one set what the main table does not have."""
    if transfer_page.has_one_set(transfer):
        return transfer_page.one_set(transfer)
    drawn = picture("Change in domain against change out of domain", "transfer.png")
    return [*transfer_page.average(transfer), drawn]


def _comparisons(
    study: Study, logs: Mapping[str, training_logs.TrainingLog], inputs: Mapping[str, Path]
) -> list[Block]:
    """What the variants do, in and out of domain, and against each other."""
    results = files.read(inputs["results"])
    return [
        picture("Change against the base", "figures/degradation.png"),
        text(
            "The queries behind it: ",
            link("differences.md", "differences.md"),
            ". Why fine-tuning hurts: ",
            link("cause.md", "cause.md"),
            "; whether it hurts more where the base knows more: ",
            link("saturation.md", "saturation.md"),
            ".",
        ),
        *examples_table.blocks(examples.read(inputs["examples"])),
        Heading("How sure the verdicts are", 2),
        variants_table.sureness(study, results),
        Heading("What the variants are", 2),
        makeup.table(study),
        *readings.table(study, spaces.read(inputs["diagnosis"])),
        Heading("Out of domain", 2),
        *_out_of_domain(transfers.read(inputs["transfer"])),
        text("By collection, and LoRA against full fine-tuning: ", link("transfer.md", "transfer.md"), "."),
        Heading("Variants compared with each other", 2),
        *results_tables.pairs(study, files.read_pairs(inputs["pairs"]), logs),
        *growth.blocks(study, results, files.read_pairs(inputs["pairs"])),
        Heading("Every measure", 2),
        *results_tables.measures(study, results),
    ]


def _behind(study: Study, logs: Mapping[str, training_logs.TrainingLog], inputs: Mapping[str, Path]) -> list[Block]:
    """Training, searches, negatives, vector spaces, numerical checks and collections."""
    diagnosis, projected = spaces.read(inputs["diagnosis"]), json.loads(inputs["projection"].read_text())
    return [
        Heading("Training", 2),
        training_table.training(logs),
        *(table for table in (training_table.interpolations(logs), hybrids.weights(study, logs)) if table),
        picture("Validation while training", "figures/curves.png"),
        *searches.blocks(study, logs, files.read_pairs(inputs["pairs"])),
        Heading("Negatives", 2),
        audits.table(hardness.read(inputs["negatives"])),
        picture("Ranks and score gaps of the negatives", "negatives.png"),
        Heading("Vector spaces", 2),
        space_table.geometry(diagnosis),
        space_table.projection(projected),
        *([_projection()] if projected["variants"] else []),
        Heading("Numerical checks", 2),
        space_table.numerical_checks(diagnosis),
        Heading("Collections", 2),
        *collections_table.table({name: canonical.card(inputs["corpora"] / name) for name in study.corpora}),
    ]


def _projection() -> Text:
    return text(
        "The projection of all variants into one plane: ",
        link("figures/umap.png", "figures/umap.png"),
        ". Its panels differ little, since a text's nearest neighbours are its own vectors under the other variants.",
    )


if __name__ == "__main__":
    main()
