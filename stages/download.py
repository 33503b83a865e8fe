"""Download: a corpus in the house form, whatever its source."""
from pathlib import Path

import click

from stages import params
from stages.collections import collection
from stages.collections.readers import beir
from stages.collections.readers import docstrings
from stages.collections.readers import irds
from stages.core import costs
from stages.core.errors import UserError


@click.command()
@click.argument("corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the corpus's folder")
def main(corpus: str, out: Path) -> None:
    """Bring CORPUS into the house form and check it.

    Its source is the docstrings of installed packages, a folder in BEIR layout (relative to where this runs) or an
    ir_datasets id. Writes docs.parquet, topics/ and qrels/ with one file a split, docs.json, and card.json, which
    says how large all is and what was dropped or is worth knowing; docpairs.parquet where released triples are asked
    for. Stops with one line, and writes nothing, where the collection contradicts itself.
    """
    study = params.load()
    if corpus not in study.corpora:
        raise UserError(f"corpora: no corpus is called '{corpus}'; there are: {', '.join(study.corpora)}")
    row, clock = study.corpora[corpus], costs.Clock()
    try:
        card = collection.write(
            _read(row), out, train="train" if row.train is not None else None, judged=list(row.judged),
            validation=row.validation, tokens=row.tokens,
            limits={split: rules.limit for split, rules in row.judged.items() if rules.limit})
    except UserError as error:
        raise UserError(f"corpora.{corpus}: {error}")
    costs.record("download", corpus, seconds=clock.seconds(), documents=card["documents"])
    click.echo(f"{corpus}: {card['documents']:,} passages of {card['words_per_passage']:g} words")
    for split, sizes in card["splits"].items():
        click.echo(f"  {split}: {sizes['queries']:,} queries of {sizes['words_per_query']:g} words, "
                   f"{sizes['judgments']:,} judgments, {sizes['relevant_per_query']:g} relevant a query")
    for verdict in ("dropped", "noted"):
        for reason, count in card[verdict].items():
            click.echo(f"  {verdict}: {count:,} ({reason})")


def _read(row) -> collection.Source:
    """The source that a corpus's row names, its splits under their names of the house."""
    kind, _, place = row.source.partition(":")
    splits = {"train": row.train} if row.train is not None else {}
    splits |= {split: split if rules.subset is None else rules.subset for split, rules in row.judged.items()}
    if row.docpairs and (kind != "irds" or row.train is None):
        raise UserError("docpairs: released triples belong to an irds: source with a train split")
    match kind:
        case "docstrings":
            source = docstrings.read(place.split(","), row.shares)
            for subset in splits.values():
                if subset not in source.qrels:
                    raise UserError(f"no split is called '{subset}'; shares makes: {', '.join(source.qrels)}")
            source.qrels = {split: source.qrels[subset] for split, subset in splits.items()}
        case "beir":
            source = beir.read(Path(place), splits)
        case "irds":
            source = irds.read(place, splits)
            if row.docpairs:
                source.docpairs = irds.docpairs(place, row.docpairs, row.docpairs_limit)
        case _:
            raise UserError(f"source: '{row.source}' is not docstrings:<packages>, beir:<folder> or irds:<dataset id>")
    return source


if __name__ == "__main__":
    main()
