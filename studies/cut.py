"""A smaller collection from a larger one, in BEIR layout: some queries of each split, what is relevant to them, others.

    python -m studies.cut <folder> <new folder> --passages 4000 --queries 700

Chosen by the hash of their ids, so that equal sizes give equal cuts.
"""

import gzip
import hashlib
import json
from pathlib import Path

import click


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--passages", required=True, type=click.IntRange(min=1), help="at least the relevant ones are kept")
@click.option("--queries", required=True, type=click.IntRange(min=1), help="of each split")
def main(source: Path, target: Path, passages: int, queries: int) -> None:
    """Write a cut of the BEIR folder SOURCE to TARGET."""
    (target / "qrels").mkdir(parents=True)
    asked, relevant = set(), set()
    for path in sorted((source / "qrels").glob("*.tsv")):
        head, *lines = path.read_text().splitlines()
        kept = set(_first({line.split("\t")[0] for line in lines}, queries))
        lines = [line for line in lines if line.split("\t")[0] in kept]
        (target / "qrels" / path.name).write_text("\n".join([head, *lines]) + "\n")
        asked |= kept
        relevant |= {line.split("\t")[1] for line in lines}
    docs = {json.loads(line)["_id"]: line for line in _lines(source / "corpus.jsonl.gz")}
    beside = _first(docs.keys() - relevant, max(0, passages - len(relevant)))
    others = set(beside)
    _write(target / "corpus.jsonl.gz", [docs[name] for name in docs if name in relevant or name in others])
    _write(
        target / "queries.jsonl.gz",
        [line for line in _lines(source / "queries.jsonl.gz") if json.loads(line)["_id"] in asked],
    )
    click.echo(
        f"{target}: {len(relevant):,} relevant passages of {len(relevant) + len(beside):,}, {len(asked):,} queries"
    )


def _first(names: set[str], count: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count]


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt") as handle:
        return handle.readlines()


def _write(path: Path, lines: list[str]) -> None:
    with gzip.open(path, "wt") as handle:
        handle.writelines(lines)


if __name__ == "__main__":
    main()
