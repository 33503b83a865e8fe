"""Compare: two rows on request, from the committed per-query values."""
from pathlib import Path

import click

from stages import params
from stages.collections import excerpts
from stages.evaluation import differences
from stages.evaluation import revisions
from stages.evaluation import significance
from stages.core.errors import UserError

LENGTH = 200


@click.command()
@click.argument("variant")
@click.argument("other")
@click.option("--before", metavar="REV", help="OTHER as it was at this git revision")
@click.option("--corpus", help="where, if not report.in_domain")
@click.option("--split", help="of it, if not report.in_domain")
@click.option("--measure", help="by what, if not report.in_domain")
@click.option("--shown", type=click.IntRange(min=0), help="so many queries each way, if not report.shown")
def main(row: str, other: str, before: str | None, corpus: str | None, split: str | None, measure: str | None,
         shown: int | None) -> None:
    """Say by how much ROW differs from OTHER, how far that could be chance, and which queries gained and lost most.

    With --before REV and the same name twice: what a change did to a row, query by query. Texts are shown where the
    corpus lies in data/corpora.
    """
    study = params.load()
    if row == other and before is None:
        raise UserError(f"{row}: is compared with itself; name another row, or a revision with --before REV")
    asked = {"corpus": corpus, "split": split, "measure": measure}
    place = study.report.in_domain.model_copy(update={key: value for key, value in asked.items() if value})
    one, earlier = _values(row, place, None), _values(other, place, before)
    one, earlier, clusters = revisions.common(one, earlier)
    if not len(clusters):
        raise UserError(f"{revisions.name_of(before)}: has no query of {place.corpus} {place.split} in common with the "
                      f"workspace's; name a revision of the same collection")
    found = revisions.change(one, earlier, clusters, study.report.significance, study.report.resamples)
    names = (row, other if before is None else f"{other} at {revisions.commit(before)}")
    click.echo(_told(found, one, earlier, names, place, study.report))
    moved = one.values.mean(axis=0) - earlier.values.mean(axis=0)
    gained, lost = differences.most(moved, study.report.shown if shown is None else shown)
    known = _texts(place, [one.query_ids[at] for at in [*gained, *lost]], study.corpora.get(place.corpus))
    for what, chosen in (("gained", gained), ("lost", lost)):
        if chosen:
            click.echo(f"\n{what} most: rank of the first relevant passage under {names[1]} -> {names[0]}")
        for at in chosen:
            ranks = [differences.ranks_as_text(None if side.ranks is None else side.ranks[:, at])
                     for side in (earlier, one)]
            click.echo(f"  {one.query_ids[at]}  {ranks[0]} -> {ranks[1]}  ({moved[at]:+.4f})")
            for line in known.get(one.query_ids[at], []):
                click.echo(f"      {line}")


def _values(row: str, place, revision: str | None) -> revisions.PerQuery:
    table = revisions.table(revision)
    rows = revisions.rows(table, place, revision)
    if row not in rows:
        raise UserError(f"{revisions.name_of(revision)}: no row is called '{row}' on {place.corpus} {place.split}; "
                      f"there are: {', '.join(rows)}")
    return revisions.per_query(table, row, place)


def _told(found: dict, one, other, names: tuple[str, str], place, report) -> str:
    """The figures, one a line, in the measure's unit and in per cent of the other's value."""
    reference = float(other.values.mean())

    def both(*keys):
        values = [found[key] + 0.0 for key in keys]
        shares = [f"{significance.per_cent({'base': reference}, value) + 0.0:+.1f}" for value in values]
        return (" to ".join(f"{value:+.4f}" for value in values)
                + f"  ({' to '.join(shares) if reference else '–'} %)")
    verdict = significance.verdict(found, found["p"], report.significance, report.margin / 100 * reference)
    smallest = "none: no query differs, or there is one cluster" if found["detectable"] is None else \
        both("detectable").replace("+", "")
    return "\n".join([
        f"{names[0]} minus {names[1]}: {place.measure} {place.corpus} {place.split}, {found['queries']} queries in "
        f"{found['clusters']} clusters", _seeds(one.copies, other.copies),
        f"{'value':24}{one.values.mean():.4f} minus {reference:.4f}",
        f"{'difference':24}{both('difference')}",
        f"{f'{100 * (1 - report.significance):g} % interval':24}{both('low', 'high')}",
        f"{'p':24}{found['p']:.4f}, of this pair alone",
        f"{'better / worse / equal':24}{found['better']} / {found['worse']} / {found['equal']}",
        f"{'smallest detectable':24}{smallest}",
        f"{'verdict':24}{verdict} (margin {report.margin:g} %)"])


def _seeds(copies: list[str], other: list[str]) -> str:
    if len(copies) == len(other) == 1:
        return "no seeds: neither is trained" if copies == other == ["pretrained"] else \
            "one seed: this checkpoint, not the recipe"
    return f"{len(copies)} and {len(other)} copies, one a seed{', paired by seed' if copies == other else ''}"


def _texts(place, queries: list[str], collection) -> dict[str, list[str]]:
    """query_id -> its text, and the id and beginning of a most relevant passage; none where the corpus is not here."""
    home = Path("data/corpora") / place.corpus
    files = (f"topics/{place.split}", f"qrels/{place.split}", "docs")
    if not queries or not all((home / f"{name}.parquet").is_file() for name in files):
        return {}
    rel = collection.judged[place.split].rel if collection and place.split in collection.judged else 1
    return {query: [f"query    {_line(told.query)}",
                    *([f"passage  {told.passage_id}: {_line(told.passage)}"] if told.passage_id else [])]
            for query, told in excerpts.read(home, place.split, queries, rel).items()}


def _line(text: str) -> str:
    return " ".join(text.split())[:LENGTH]


if __name__ == "__main__":
    main()
