"""Differences: the queries that each row gained and lost most against the base, with their passages."""
from pathlib import Path

import click

from stages import params
from stages.collections import excerpts
from stages.evaluation import differences
from stages.evaluation import revisions
from stages.reporting import tables
from stages.core.files import publish

LENGTH = 160


@click.command()
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="per-query values, parquet")
@click.option("--corpora", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="the corpora, with their judgments")
@click.option("--page", type=click.Path(path_type=Path), required=True,
              help="the committed page: ids in place of the texts of a corpus that does not say publish")
@click.option("--texts", type=click.Path(path_type=Path), required=True, help="the same page with all texts")
def main(queries: Path, corpora: Path, page: Path, texts: Path) -> None:
    """List the queries that gained and lost most on the primary measure, row by row, with ranks before and after."""
    study = params.load()
    place = study.report.in_domain
    table = revisions.table(path=queries)
    there = revisions.rows(table, place)
    listed = {row: _listed(table, row, study.report) for row in study.variants
              if row != study.report.base and row in there}
    wanted = sorted({query for lines in listed.values() for query, *_ in lines})
    rel = study.corpora[place.corpus].judged[place.split].rel
    shown = excerpts.read(corpora / place.corpus, place.split, wanted, rel)
    open_to_all = study.corpora[place.corpus].publish
    for path, with_texts in ((page, open_to_all), (texts, True)):
        with publish(path) as draft:
            draft.write_text(_page(listed, shown, place, study.report.base, with_texts))


def _listed(table, row: str, report) -> list[tuple]:
    """(query_id, ranks under the base, ranks under the row, as text, and the change): most gained, then most lost."""
    base, one, _ = revisions.common(*(revisions.per_query(table, name, report.in_domain) for name in (report.base, row)))
    change = one.values.mean(axis=0) - base.values.mean(axis=0)
    gained, lost = differences.most(change, report.shown)
    return [(one.query_ids[at], _ranks(base, at), _ranks(one, at), change[at]) for at in [*gained, *lost]]


def _ranks(values: revisions.PerQuery, at: int) -> str:
    return differences.ranks_as_text(None if values.ranks is None else values.ranks[:, at], absent="–")


def _page(listed: dict[str, list[tuple]], shown: dict[str, excerpts.Excerpt], place, base: str,
          with_texts: bool) -> str:
    parts = [f"# Queries that gained and lost most\n\n{place.measure} on {place.corpus} {place.split}, each row "
             f"against `{base}`. A rank is that of the first relevant passage; – means that the run does not have it. "
             f"Several ranks are those of several seeds.\n"]
    if not with_texts:
        parts.append("Ids stand for texts: the corpus does not say `publish: true`. "
                     "With texts: `data/differences.md`.\n")
    for row, lines in listed.items():
        cells = [[_query(query, shown, with_texts), _passage(query, shown, with_texts),
                  f"{before} → {after}", f"{change:+.3f}"]
                 for query, before, after, change in lines]
        parts.append(f"## {row}\n")
        parts.append(tables.markdown(["query", "relevant passage", "rank", "change"], cells) if cells else
                     "No query differs.\n")
    return "\n".join(parts)


def _query(query: str, shown: dict, with_texts: bool) -> str:
    return _cell(shown[query].query) if with_texts and query in shown else f"`{query}`"


def _passage(query: str, shown: dict, with_texts: bool) -> str:
    told = shown.get(query)
    if not told or not told.passage_id:
        return "–"
    named = _cell(told.passage) if with_texts else f"`{told.passage_id}`"
    return named + (f" (and {told.more} more)" if told.more else "")


def _cell(text: str) -> str:
    """A text on one line, cut, with nothing that Markdown would read."""
    flat = " ".join(text.split())
    flat = flat if len(flat) <= LENGTH else f"{flat[:LENGTH].rstrip()} …"
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#" else letter for letter in flat)


if __name__ == "__main__":
    main()
