"""Differences: the queries that each variant gained and lost most against the base, with their passages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from stages import params
from stages.collections import excerpts
from stages.collections.excerpts import Excerpt
from stages.core.files import publish
from stages.evaluation import per_query
from stages.evaluation.differences import QueryChange, most_changed
from stages.params.report import Target
from stages.reporting import markdown
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, code, text

LENGTH = 160


@click.command()
@click.option(
    "--queries",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="per-query values, parquet",
)
@click.option(
    "--corpora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="the corpora, with their judgments",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    required=True,
    help="the committed page: ids in place of the texts of a corpus that does not set publish",
)
@click.option("--texts", type=click.Path(path_type=Path), required=True, help="the same page with all texts")
def main(queries: Path, corpora: Path, page: Path, texts: Path) -> None:
    """List the queries that each variant gained and lost most in domain, with the ranks before and after."""
    study = params.load()
    report, target = study.report, study.report.in_domain
    table = per_query.read(queries)
    measured = per_query.variants(table, target)
    base = per_query.of(table, report.base, target)
    listed = {}
    for variant in study.variants:
        if variant != report.base and variant in measured:
            gained, lost = most_changed(*per_query.common(base, per_query.of(table, variant, target)), report.shown)
            listed[variant] = [*gained, *lost]
    ids = sorted({query.query_id for changes in listed.values() for query in changes})
    corpus = study.corpora[target.corpus]
    shown = excerpts.read(corpora / target.corpus, target.split, ids, corpus.judged[target.split].rel)
    for path, with_texts in ((page, corpus.publish), (texts, True)):
        with publish(path) as draft:
            draft.write_text(markdown.document(blocks(listed, shown, target, report.base, with_texts)))


def blocks(
    listed: Mapping[str, Sequence[QueryChange]],
    shown: Mapping[str, Excerpt],
    target: Target,
    base: str,
    with_texts: bool,
) -> list[markdown.Block]:
    """The page: a table for each variant, with texts or with ids in their place."""
    page: list[markdown.Block] = [
        Heading("Queries that gained and lost most", 1),
        text(
            f"{target.measure} on {target.corpus} {target.split}, each variant against ",
            code(base),
            ". A rank is that of the first relevant passage, none where the run does not have it; several ranks are "
            "those of several seeds.",
        ),
    ]
    if not with_texts:
        page.append(
            text(
                "Ids stand for texts: the corpus does not set ",
                code("publish: true"),
                ". With texts: ",
                code("data/differences.md"),
                ".",
            )
        )
    for variant, changes in listed.items():
        lines = [_line(query, shown.get(query.query_id), with_texts) for query in changes]
        table = Table(["query", "relevant passage", "rank", "change"], lines)
        page += [Heading(variant, 2), table if lines else "No query differs."]
    return page


def _line(query: QueryChange, excerpt: Excerpt | None, with_texts: bool) -> list[Cell]:
    asked: Cell = _cut(excerpt.query) if excerpt and with_texts else code(query.query_id)
    passage: Cell = NOTHING
    if excerpt and excerpt.passage_id:
        more = f" (and {excerpt.more} more)" if excerpt.more else ""
        passage = text(_cut(excerpt.passage) if with_texts else code(excerpt.passage_id), more)
    return [asked, passage, f"{query.before} → {query.after}", f"{query.change:+.3f}"]


def _cut(words: str) -> str:
    """A text on one line, cut."""
    flat = " ".join(words.split())
    return flat if len(flat) <= LENGTH else f"{flat[:LENGTH].rstrip()} …"


if __name__ == "__main__":
    main()
