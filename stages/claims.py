"""Claims: each claim of the papers, with what speaks for or against it and the verdict that follows."""

from pathlib import Path

import click

from stages import params
from stages.analysis import diagnosis as diagnoses
from stages.core import costs as recorded
from stages.core import yaml_file
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import per_query
from stages.ledger import checked, claims, full_size, quantities, study_figures
from stages.ledger.verdicts import Figure
from stages.params.corpora import Corpus
from stages.reporting import claims as reporting
from stages.reporting import markdown

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(path_type=Path)
Measured = tuple[list[Figure | None], str | None, str | None]  # figures, what is lacking, the interval over datasets


@click.command()
@click.option("--ledger", type=FILE, required=True, help="the claims, YAML")
@click.option("--tables", type=FILE, required=True, help="what the papers print, YAML")
@click.option("--studies", type=FOLDER, required=True, help="the papers' studies, complete params files")
@click.option("--corpora", type=FOLDER, required=True, help="the corpora, with their judgments")
@click.option("--costs", type=OUT, required=True, help="costs of the stages, JSON; may be missing")
@click.option("--queries", type=FILE, required=True, help="per-query values, parquet")
@click.option("--diagnosis", type=FILE, required=True, help="figures of the vector spaces, JSON")
@click.option("--page", type=OUT, required=True, help="the page, Markdown")
@click.option("--verdicts", type=OUT, required=True, help="the same as JSON")
def main(ledger: Path, tables: Path, page: Path, verdicts: Path, **inputs: Path) -> None:
    """Give every claim of the ledger its verdict, and say what was computed or what is lacking."""
    book, printed = claims.read(ledger), yaml_file.load(tables)
    measured = _measured(book, **inputs)
    entries = []
    for name, claim in book.claims.items():
        figures: list[Figure | None] = [None] * len(claim.expectations)
        lacking, beside = claim.why, None
        if claim.compute:
            try:
                figures = [*quantities.evaluate(claim.compute, printed)]
            except ValueError as error:
                raise UserError(f"{ledger}: claims.{name}.compute: {error}")
            if len(figures) != len(claim.expectations):
                raise UserError(
                    f"{ledger}: claims.{name}.compute: gives {len(figures)} figures, not as many as expected"
                )
        elif claim.needs:
            figures, lacking, beside = measured[name]
        entries.append(checked.checked(name, claim, figures, lacking, printed, beside))
    shown = checked.ledger(book.papers, entries, book.findings)
    with publish(verdicts) as draft:
        draft.write_text(checked.as_json(shown))
    with publish(page) as draft:
        draft.write_text(markdown.document(reporting.page(shown)))


def _measured(
    book: claims.Ledger, studies: Path, corpora: Path, costs: Path, queries: Path, diagnosis: Path
) -> dict[str, Measured]:
    """Claim that needs a study -> the figures that the study at hand gives, what is lacking, and what stands beside."""
    study = params.load()
    needing = {name: claim.needs for name, claim in book.claims.items() if claim.needs}
    papers = {path: _paper(studies / Path(path).name) for path in sorted({needs.study for needs in needing.values()})}
    sizes = {corpus: _size(corpora / corpus, study.corpora[corpus]) for corpus in study.corpora}
    table, spaces, recorded_costs = per_query.read(queries), diagnoses.read(diagnosis), recorded.recorded(costs)
    measured: dict[str, Measured] = {}
    for name, needs in needing.items():
        figures: list[Figure | None] = []
        reasons: list[str] = []
        scales = book.scales.get(needs.study, {})
        for part in needs.each:
            reason = full_size.missing(needs, part, study, papers[needs.study], sizes, scales)
            found = None if reason else study_figures.figure(needs, part, table, spaces, recorded_costs, study.report)
            figures.append(found)
            reasons += [reason or "the study did not measure it"] if found is None else []
        parts = [] if reasons else needs.each
        besides = [study_figures.over_corpora(needs, part, table, study.report.significance) for part in parts]
        beside = checked.over_datasets(needs, besides)
        measured[name] = figures, reasons[0] if reasons else None, beside
    return measured


def _paper(path: Path) -> params.Study | None:
    return params.load(path) if path.is_file() else None


def _size(folder: Path, corpus: Corpus) -> claims.Scale:
    import pyarrow.parquet as pq

    def count(name: str) -> int:
        return pq.read_metadata(folder / name).num_rows

    queries = {split: count(f"topics/{split}.parquet") for split in corpus.judged}
    return claims.Scale(passages=count("docs.parquet"), queries=queries)


if __name__ == "__main__":
    main()
