"""A smaller collection from a larger one, in BEIR layout: some queries of each split, what is judged for them, others.

    python -m studies.cut <folder> <new folder> --passages 4000 --queries 700

Chosen by the hash of their ids, so that equal sizes give equal cuts.
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from stages.collections import judgments, records, tables
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--passages", required=True, type=click.IntRange(min=1), help="at least the judged ones are kept")
@click.option("--queries", required=True, type=click.IntRange(min=1), help="of each split")
def main(source: Path, target: Path, passages: int, queries: int) -> None:
    """Write a cut of the BEIR folder SOURCE to TARGET, which must not be there yet."""
    if target.exists():
        raise UserError(f"{target}: is there already; name another folder, or remove it")
    stems = judgments.stems(source / "qrels")
    if not stems:
        raise UserError(f"{source / 'qrels'}: holds no judgments; name a folder in BEIR layout")
    read = {
        stem: judgments.read(path) for stem, path in judgments.find(source / "qrels", dict(zip(stems, stems))).items()
    }
    chosen = {stem: set(_first({query for query, _, _ in rows}, queries)) for stem, rows in read.items()}
    kept = {stem: [row for row in rows if row[0] in chosen[stem]] for stem, rows in read.items()}
    docs = _passages(tables.find(source, "corpus"))
    judged = {passage for rows in kept.values() for _, passage, _ in rows} & docs.keys()
    judged |= set(_first(docs.keys() - judged, max(0, passages - len(judged))))
    asked = set().union(*chosen.values())
    found = records.queries(tables.rows(tables.find(source, "queries")), Counter())
    with publish(target) as draft:
        (draft / "qrels").mkdir(parents=True)
        for stem, rows in kept.items():
            lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
            (draft / "qrels" / f"{stem}.tsv").write_text("\n".join(lines) + "\n")
        _write(draft / "corpus.jsonl.gz", ((name, text) for name, text in docs.items() if name in judged))
        _write(draft / "queries.jsonl.gz", ((name, query.text) for name, query in found.items() if name in asked))
    relevant = {passage for rows in kept.values() for _, passage, grade in rows if grade > 0} & docs.keys()
    click.echo(f"{target}: {len(relevant):,} relevant passages of {len(judged):,}, {len(asked):,} queries")


def _passages(path: Path) -> dict[str, str]:
    """The passages of a file by id; raises UserError where an id has two texts, as stage `download` does."""
    docs: dict[str, str] = {}
    for name, text in records.passages(tables.rows(path)):
        if docs.setdefault(name, text) != text:
            raise UserError(f"{path}: passage id '{name}' appears twice, with different texts")
    return docs


def _first(names: set[str], count: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count]


def _write(path: Path, texts: Iterable[tuple[str, str]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as handle:
        handle.writelines(json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts)


if __name__ == "__main__":
    main()
