"""Differences: the queries that each row gained and lost most against the base, with their passages."""
from pathlib import Path

import click
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.lib import differences, params, tables
from stages.lib.publish import publish

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
    place = study.report.primary
    table = pq.read_table(queries, filters=[("corpus", "=", place.corpus), ("split", "=", place.split)])
    listed = {row: _listed(table, row, study.report) for row in study.retrievers
              if row != study.report.base and _copies(table, row)}
    wanted = sorted({query for lines in listed.values() for query, *_ in lines})
    shown = _texts(corpora / place.corpus, place.split, wanted, study.corpora[place.corpus].judged[place.split].rel)
    open_to_all = study.corpora[place.corpus].publish
    for path, with_texts in ((page, open_to_all), (texts, True)):
        with publish(path) as draft:
            draft.write_text(_page(listed, shown, place, study.report.base, with_texts))


def _listed(table, row: str, report) -> list[tuple]:
    """(query_id, rank under the base, ranks under the row's copies, change) for the most gained, then the most lost."""
    base, *copies = (_of_copy(table, name, copy) for name, copy in
                     [(report.base, None), *((row, copy) for copy in _copies(table, row))])
    change = np.mean([copy[report.primary.measure] for copy in copies], axis=0) - base[report.primary.measure]
    gained, lost = differences.most(change, report.shown)
    return [(base["query_id"][at], base["rank"][at], [copy["rank"][at] for copy in copies], change[at])
            for at in [*gained, *lost]]


def _copies(table, row: str) -> list[str]:
    return sorted(pc.unique(table.filter(pc.equal(table["row"], row))["copy"]).to_pylist())


def _of_copy(table, row: str, copy: str | None) -> dict[str, list]:
    part = table.filter(pc.equal(table["row"], row))
    return (part if copy is None else part.filter(pc.equal(part["copy"], copy))).sort_by("query_id").to_pydict()


def _texts(collection: Path, split: str, wanted: list[str], rel: int) -> dict[str, tuple]:
    """query_id -> (text, id of its first relevant passage, that passage's text, how many more are relevant)."""
    topics = pq.read_table(collection / "topics" / f"{split}.parquet", filters=[("query_id", "in", wanted)]).to_pydict()
    asked = dict(zip(topics["query_id"], topics["text"]))
    qrels = pq.read_table(collection / "qrels" / f"{split}.parquet",
                          filters=[("query_id", "in", wanted), ("grade", ">=", rel)]).to_pydict()
    relevant: dict[str, list[str]] = {}
    for query, passage in zip(qrels["query_id"], qrels["doc_id"]):
        relevant.setdefault(query, []).append(passage)
    firsts = sorted({passages[0] for passages in relevant.values()})
    docs = pq.read_table(collection / "docs.parquet", filters=[("doc_id", "in", firsts)],
                         columns=["doc_id", "text"]).to_pydict()
    text = dict(zip(docs["doc_id"], docs["text"]))
    return {query: (asked[query], passages[0], text.get(passages[0], ""), len(passages) - 1)
            for query, passages in relevant.items()}


def _page(listed: dict[str, list[tuple]], shown: dict[str, tuple], place, base: str, with_texts: bool) -> str:
    parts = [f"# Queries that gained and lost most\n\n{place.measure} on {place.corpus} {place.split}, each row against "
             f"`{base}`. A rank is that of the first relevant passage; – means that the run does not have it. Several "
             f"ranks are those of several seeds.\n"]
    if not with_texts:
        parts.append("Ids stand for texts: the corpus does not say `publish: true`. With texts: `data/differences.md`.\n")
    for row, lines in listed.items():
        cells = [[_query(query, shown, with_texts), _passage(query, shown, with_texts),
                  f"{_rank(before)} → {' / '.join(map(_rank, after))}", f"{change:+.3f}"]
                 for query, before, after, change in lines]
        parts.append(f"## {row}\n")
        parts.append(tables.markdown(["query", "relevant passage", "rank", "change"], cells) if cells else
                     "No query differs.\n")
    return "\n".join(parts)


def _rank(rank: int) -> str:
    return str(rank) if rank else "–"


def _query(query: str, shown: dict, with_texts: bool) -> str:
    return _cell(shown[query][0]) if with_texts and query in shown else f"`{query}`"


def _passage(query: str, shown: dict, with_texts: bool) -> str:
    if query not in shown:
        return "–"
    _, passage, text, more = shown[query]
    return (_cell(text) if with_texts else f"`{passage}`") + (f" (and {more} more)" if more else "")


def _cell(text: str) -> str:
    """A text on one line, cut, with nothing that Markdown would read."""
    flat = " ".join(text.split())
    flat = flat if len(flat) <= LENGTH else f"{flat[:LENGTH].rstrip()} …"
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#" else letter for letter in flat)


if __name__ == "__main__":
    main()
