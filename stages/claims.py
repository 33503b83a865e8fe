"""Claims: each claim of the papers, with what speaks for or against it and the verdict that follows."""
import json
from pathlib import Path

import click

from stages import params
from stages.ledger import full_size
from stages.ledger import claims as ledger
from stages.ledger import quantities
from stages.core import costs
from stages.evaluation import revisions
from stages.reporting import claims_page
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.option("--ledger", "entries", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="the claims, YAML")
@click.option("--tables", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="what the papers print, YAML")
@click.option("--studies", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="the papers' studies, complete params files")
@click.option("--corpora", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="the corpora, with their judgments")
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="per-query values, parquet")
@click.option("--diagnosis", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="figures of the spaces")
@click.option("--page", type=click.Path(path_type=Path), required=True)
@click.option("--verdicts", type=click.Path(path_type=Path), required=True, help="the same as JSON")
def main(entries: Path, tables: Path, studies: Path, corpora: Path, queries: Path, diagnosis: Path, page: Path,
         verdicts: Path) -> None:
    """Give every claim of the ledger its verdict, and say what was computed or what is lacking."""
    study = params.load()
    book, constants = ledger.read(entries), ledger.parsed(tables)
    papers = {name: params.load(studies / Path(name).name) if (studies / Path(name).name).is_file() else None
              for name in sorted({claim.needs.study for claim in book.claims.values() if claim.needs})}
    sizes = {corpus: _size(corpora / corpus, study.corpora[corpus].judged) for corpus in study.corpora}
    values = revisions.table(path=queries)
    spaces = json.loads(diagnosis.read_text())
    told = []
    for name, claim in book.claims.items():
        found, lacking = None, claim.why
        if claim.compute:
            try:
                found = quantities.evaluate(claim.compute, constants)
            except ValueError as error:
                raise UserError(f"{entries}: claims.{name}.compute: {error}")
        elif claim.needs:
            lacking = full_size.missing(claim.needs, study, papers[claim.needs.study], sizes,
                                       book.scales.get(claim.needs.study, {}))
            if not lacking:
                found = full_size.figure(claim.needs, values, spaces, costs.recorded(), study.report.significance,
                                        study.report.resamples)
                lacking = None if found is not None else "the study did not measure it"
        told.append(claims_page.entry(name, claim, found, ledger.verdict(claim, found), lacking, constants))
    shown = {"papers": {name: paper.model_dump() for name, paper in book.papers.items()}, "claims": told}
    with publish(verdicts) as draft:
        draft.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n")
    with publish(page) as draft:
        draft.write_text(claims_page.page(shown))


def _size(folder: Path, judged: dict) -> dict:
    import pyarrow.parquet as pq
    return {"passages": pq.read_metadata(folder / "docs.parquet").num_rows,
            "queries": {split: pq.read_metadata(folder / "topics" / f"{split}.parquet").num_rows for split in judged}}


if __name__ == "__main__":
    main()
