"""Download: a corpus in the canonical format, whatever its source."""

from pathlib import Path

import click

from stages import params
from stages.collections import canonical, readers, sizes, write
from stages.collections.canonical import Card
from stages.core import costs
from stages.core.errors import UserError


@click.command()
@click.argument("corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of the corpus")
def main(corpus: str, out: Path) -> None:
    """Read CORPUS from its source, check it and write it in the canonical format.

    Its source is the docstrings of installed packages, a folder in BEIR layout (relative to the working directory), an
    ir_datasets id, or a dataset of the hub or a folder laid out like one. Writes docs.parquet, topics/ and qrels/ with
    one file a split, docs.json, and card.json with the sizes and what was dropped or is worth knowing; docpairs.parquet
    where the collection brings triplets that are asked for. Writes nothing and prints one line where the collection
    contradicts itself.
    """
    study = params.load()
    if corpus not in study.corpora:
        raise UserError(f"corpora: no corpus is called '{corpus}'; there are: {', '.join(study.corpora)}")
    settings, clock = study.corpora[corpus], costs.Clock()
    try:
        sizes.require_space(settings, out)
        card = write.write(readers.read(settings), settings, out)
    except UserError as error:
        raise UserError(f"corpora.{corpus}: {error}")
    costs.record("download", corpus, seconds=clock.seconds(), documents=card.documents)
    for line in _summary(corpus, card, canonical.language(out), settings.language is None):
        click.echo(line)


def _summary(corpus: str, card: Card, language: str, detected: bool) -> list[str]:
    how = "detected; corpora.<name>.language says another" if detected else "as params.yaml says"
    return [
        f"{corpus}: {card.documents:,} passages of {card.words_per_passage:g} words",
        f"  language: {language} ({how})",
        *(
            f"  {split}: {sizes.queries:,} queries of {sizes.words_per_query:g} words, {sizes.judgments:,} judgments, "
            f"{sizes.relevant_per_query:g} relevant a query"
            for split, sizes in card.splits.items()
        ),
        *(f"  dropped: {number:,} ({reason})" for reason, number in card.dropped.items()),
        *(f"  noted: {number:,} ({reason})" for reason, number in card.noted.items()),
    ]


if __name__ == "__main__":
    main()
