"""Page: the whole study as one HTML file that asks nothing of the network."""
import json
from pathlib import Path

import click

from stages import params
from stages.core import costs
from stages.reporting import tables
from stages.reporting.page import charts
from stages.reporting.page import provenance
from stages.reporting.page import page_sections
from stages.training import log_file
from stages.reporting.markdown_parts import parts
from stages.core.files import publish

folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
STAGES = {"evaluate": "the table of variants and its bars", "transfer": "what rows cost out of domain",
          "visualize": "the shared projection",
          "diagnose": "the shape of each space", "audit": "the negatives", "cause": "the cause study",
          "claims": "the claims of the papers"}


@click.command()
@click.option("--results", type=file, required=True, help="means, changes and intervals, JSON")
@click.option("--pairs", type=file, required=True, help="rows compared with each other, JSON")
@click.option("--training", type=folder, required=True, help="training logs, one a row")
@click.option("--transfer", type=file, required=True, help="what rows cost out of domain, JSON")
@click.option("--transferred", type=file, required=True, help="its picture, PNG")
@click.option("--projection", type=file, required=True, help="figures of the shared projection, JSON")
@click.option("--projected", type=file, required=True, help="its picture, PNG")
@click.option("--negatives", type=file, required=True, help="the audit of the triplets, JSON")
@click.option("--audited", type=file, required=True, help="its picture, PNG")
@click.option("--diagnosis", type=file, required=True, help="the shape of every row's space, JSON")
@click.option("--cause", type=file, required=True, help="the answered questions of the cause study, JSON")
@click.option("--caused", type=file, required=True, help="its picture, PNG")
@click.option("--claims", type=file, required=True, help="the papers' claims and their verdicts, JSON")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their cards")
@click.option("--models", type=click.Path(path_type=Path), required=True, help="the models of all rows")
@click.option("--runs", type=click.Path(path_type=Path), required=True, help="the runs of all rows")
@click.option("--lock", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="dvc.lock; where it is missing the page says so")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the page")
def main(results: Path, pairs: Path, training: Path, transfer: Path, transferred: Path, projection: Path,
         projected: Path, negatives: Path, audited: Path, diagnosis: Path, cause: Path, caused: Path, claims: Path,
         corpora: Path, models: Path, runs: Path, lock: Path, out: Path) -> None:
    """Write the report page: answer, tables, charts, causes, claims, and where every number comes from.

    Seconds, memory and rates are those of reports/costs, which no stage tracks; the page says so.
    """
    study = params.load()
    report, rows = study.report, study.variants
    entries, logs = page_sections.read(results), {row: log_file.of_row(training, row) for row in rows}
    look = charts.looks([row for row, log in logs.items() if log["seed_runs"]])
    sections = {
        "answer": page_sections.answer(entries, study, logs),
        "variants": page_sections.variants(entries, report, rows, study.seeds),
        "pairs": parts(tables.pairs(page_sections.read(pairs), report, logs)),
        "measures": parts(tables.measures(entries, study.corpora, rows, study.measures)),
        "degradation": page_sections.degradation(entries, report, list(rows)),
        "transfer": page_sections.transfer(page_sections.read(transfer)),
        "curves": page_sections.curves(logs, look),
        "space": page_sections.space(entries, report, page_sections.read(diagnosis), page_sections.read(projection),
                                     look),
        "costs": page_sections.costs(entries, report, logs, costs.recorded(), look),
        "negatives": page_sections.negatives(page_sections.read(negatives)),
        "cause": page_sections.cause(page_sections.read(cause)),
        "claims": page_sections.claims(page_sections.read(claims))}
    stages = provenance.recorded(lock)
    shown = [path.as_posix() for path in (results, training, transfer, projection, negatives, diagnosis, cause, claims)]
    behind = provenance.lineage(stages, shown)
    measures = {place.measure for place in (report.in_domain, report.out_of_domain) if place}
    measured = [entry for entry in entries if entry["measure"] in measures]
    sources = {"lines": provenance.numbers(stages, measured, runs, models, corpora), "lock": lock.as_posix(),
               "locked": bool(stages), "collections": _collections(corpora, study.corpora, stages),
               "stages": [provenance.stage(stages, name, shows) for name, shows in STAGES.items()],
               "code": provenance.commit(provenance.code(stages, behind), Path())}
    pictures = {name: page_sections.picture(path) for name, path in
                {"transferred": transferred, "projected": projected, "audited": audited, "caused": caused}.items()}
    with publish(out) as draft:
        draft.write_text(page_sections.render({**sections, "sources": sources, "pictures": pictures,
                                               "warnings": study.warnings(), "base": report.base}))


def _collections(corpora: Path, named: dict, stages: dict) -> list[dict]:
    """Each corpus with the sha256 of its texts and the md5 that dvc.lock has of its folder."""
    found = []
    for corpus in named:
        card = json.loads((corpora / corpus / "card.json").read_text())
        found.append({"corpus": corpus, "documents": card["documents"], "fingerprint": card["fingerprint"],
                      "origin": ", ".join(f"{name} {what[:12]}" for name, what in card["origin"].items()),
                      "folder": provenance.output(stages, f"download@{corpus}", corpora / corpus)})
    return found


if __name__ == "__main__":
    main()
