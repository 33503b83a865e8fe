"""Report: the study's tables, in Markdown."""
import json
from pathlib import Path

import click

from stages import params
from stages.core import costs
from stages.negatives import hardness
from stages.reporting import advice
from stages.reporting import tables
from stages.reporting import transfer_page
from stages.training import log_file
from stages.core.files import publish

folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--results", type=file, required=True, help="means, changes and intervals, JSON")
@click.option("--training", type=folder, required=True, help="training logs, one a row")
@click.option("--projection", type=file, required=True, help="figures of the shared projection, JSON")
@click.option("--negatives", type=file, required=True, help="the audit of the triplets, JSON")
@click.option("--diagnosis", type=file, required=True, help="spaces, ties and half precision, JSON")
@click.option("--pairs", type=file, required=True, help="rows compared with each other, JSON")
@click.option("--transfer", type=file, required=True, help="what rows cost out of domain, JSON")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their cards")
@click.option("--out", type=output, required=True, help="the whole report")
@click.option("--table", type=output, required=True, help="its answer and first table, which the README repeats")
def main(results: Path, training: Path, projection: Path, negatives: Path, diagnosis: Path, pairs: Path, transfer: Path,
         corpora: Path, out: Path, table: Path) -> None:
    """Write the report: the answer, what fell and by how much, what it costs elsewhere, and all that lies behind.

    The costs of the stages (seconds, rates, memory: different in every run) go to costs.md beside it, which is no
    output of any stage.
    """
    study = params.load()
    entries = json.loads(results.read_text())
    logs = {row: log_file.of_row(training, row) for row in study.variants}
    cards = {corpus: json.loads((corpora / corpus / "card.json").read_text()) for corpus in study.corpora}
    found = json.loads(diagnosis.read_text())
    first = "\n".join([advice.sentences(entries, study, logs),
                       tables.degradation(entries, study.report, study.variants, study.seeds)])
    with publish(table) as draft:
        draft.write_text(first)
    with publish(out) as draft:
        draft.write_text("\n".join([
            "# Report\n", *[f"> **Warning:** {warning}.\n" for warning in study.warnings()], first,
            "![Change against the base](figures/degradation.png)\n",
            "The queries behind it: [differences.md](differences.md). Why models fall: [cause.md](cause.md); whether they "
            "fall more, the more was known: [saturation.md](saturation.md).\n",
            "## Out of domain\n", transfer_page.average(json.loads(transfer.read_text())),
            "![In-domain change against the change out of domain](transfer.png)\n",
            "By set, beside how like it is to what taught, and LoRA beside full: [transfer.md](transfer.md).\n",
            "## Row against row\n", tables.pairs(json.loads(pairs.read_text()), study.report, logs),
            "## Every measure\n",
            tables.measures(entries, study.corpora, study.variants, study.measures), "## Training\n",
            tables.training(logs, study.variants) + tables.alphas(logs), "![Loss and validation](figures/curves.png)\n",
            "## Negatives\n", tables.markdown(*hardness.table(json.loads(negatives.read_text()))),
            "![Ranks and score gaps of the negatives](negatives.png)\n",
            "## The space\n", tables.diagnosis(found), tables.space(json.loads(projection.read_text())),
            "![One projection of all rows](figures/umap.png)\n",
            "## Ties and half precision\n", tables.hygiene(found), "## Collections\n", tables.collections(cards)]))
    with publish(out.with_name("costs.md")) as draft:
        draft.write_text("# Costs\n\nWhat the stages cost when they last ran, on the machine named; no stage depends "
                         "on these figures.\n\n" + tables.costs(costs.recorded()))


if __name__ == "__main__":
    main()
