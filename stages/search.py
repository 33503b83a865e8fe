"""Search: a variant's runs, or a pool of passages for the training queries."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pyarrow as pa

from stages import params
from stages.collections import canonical
from stages.core import costs, space
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import model_folder
from stages.params.report import Search
from stages.retrieval import ranking, runs, searching
from stages.retrieval.searching import Searcher

QUERIES = 4096  # searched at a time
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Exact search of an index by inner product (of unit vectors: cosine), or by BM25.

    The order is trec_eval's: scores as float32, equal ones by passage id, both descending.
    """


@main.command()
@click.argument("variant")
@click.argument("corpus")
@click.option("--index", type=folder, required=True, help="the variant's indexes of the corpus")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of runs, one for each seed run")
def rank(variant: str, corpus: str, index: Path, collection: Path, out: Path) -> None:
    """Rank the passages of CORPUS for the queries of its judged splits, with every seed run of VARIANT."""
    study = params.load()
    clock, queries = costs.Clock(), 0
    passages, name = _passages(collection), f"{variant} {corpus}"
    with publish(out) as draft, searching.searcher(study.scale.search.processes) as searcher:
        asked = sum(len(canonical.topics(collection, split)) for split in study.corpora[corpus].judged)
        _require_space(out, asked * len(model_folder.seed_runs(index)), study.search.depth, "search.depth")
        for seed_run in model_folder.seed_runs(index):
            (draft / seed_run.name).mkdir(parents=True)
            for split, rules in study.corpora[corpus].judged.items():
                if _ranks(seed_run, split):
                    topics = canonical.topics(collection, split)
                    parts = _runs(searcher, seed_run, split, passages, topics, study.search, rules.drop_self, name)
                    queries += runs.write(parts, draft / seed_run.name / f"{split}.parquet")
    costs.record("search", f"{variant}.{corpus}", queries_per_second=queries / clock.seconds(), **_reading(searcher))


@main.command()
@click.argument("pool")
@click.option("--index", type=folder, required=True, help="the retriever's indexes of the corpus")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the pool, a parquet file")
def mine(pool: str, index: Path, collection: Path, out: Path) -> None:
    """Rank the passages for the training queries: the pool from which hard negatives are drawn by rank.

    A trained variant mines with its first seed run by name, for all seeds. Where queries of the corpus are passages, so
    that a judged split says drop_self, a query's own passage is not in the pool either.
    """
    study = params.load()
    block = study.pools[pool]
    seed_run = model_folder.seed_runs(index)[0]
    search = Search(depth=block.depth, block=study.search.block)
    drop_self = any(rules.drop_self for rules in study.corpora[block.corpus].judged.values())
    topics = canonical.topics(collection, "train")
    with publish(out) as draft, searching.searcher(study.scale.search.processes) as searcher:
        _require_space(out, len(topics), block.depth, f"pools.{pool}.depth")
        runs.write(_runs(searcher, seed_run, "train", _passages(collection), topics, search, drop_self, pool), draft)
    _reading(searcher)


def _require_space(out: Path, queries: int, depth: int, key: str) -> None:
    space.require(out, runs.LINE * queries * depth, "the rankings", f"lower {key}")


class Passages(NamedTuple):
    """A corpus's ids by row number, and the places (passages,) of these ids (ranking.places)."""

    ids: pa.Array
    places: np.ndarray


def _passages(collection: Path) -> Passages:
    ids = canonical.doc_ids(collection)
    return Passages(ids, ranking.places(ids))


def _ranks(index: Path, split: str) -> bool:
    """Whether an index ranks a split: that of a published run ranks its own alone."""
    return any((index / name).exists() for name in (f"{split}.parquet", "bm25", "docs.npy"))


def _reading(searcher: Searcher) -> dict[str, float]:
    """How fast vectors were read, which is printed as well; nothing where there were none."""
    if not searcher.read:
        return {}
    rate = searcher.gigabytes_per_second
    click.echo(f"{searcher.read / 1e9:.3g} GB of vectors searched, {rate:.3g} GB/s")
    return {"gigabytes_per_second": rate}


def _runs(
    searcher: Searcher,
    index: Path,
    split: str,
    passages: Passages,
    topics: pa.Table,
    search: Search,
    drop_self: bool,
    label: str,
) -> Iterator[pa.Table]:
    """The run of one index over one split, QUERIES queries at a time, without the queries themselves if drop_self."""
    from tqdm import tqdm

    if (index / f"{split}.parquet").exists():
        for run in runs.read(index / f"{split}.parquet"):
            yield runs.without_self(run) if drop_self else run
        return
    depth = search.depth + drop_self
    with tqdm(total=len(topics), desc=f"{label} {split}", unit="query", mininterval=2) as bar:
        for part, scores, rows in _found(searcher, index, split, passages, topics, depth, search.block):
            bar.update(len(rows))
            run = runs.table(part, passages.ids, scores, rows)
            yield runs.first(runs.without_self(run), search.depth) if drop_self else run


def _found(
    searcher: Searcher, index: Path, split: str, passages: Passages, topics: pa.Table, depth: int, block: int
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Ids of QUERIES queries at a time, with scores and row numbers of what the index finds for them."""
    lexical = (index / "bm25").exists()
    if not lexical:
        _check_rows(index, len(passages.ids))
    together = QUERIES if lexical else searcher.together(depth, QUERIES)
    for start in range(0, len(topics), together):
        part = topics.slice(start, together).to_pydict()
        if lexical:
            scores, rows = searcher.lexical(part["text"], index / "bm25", depth, passages.places)
        else:
            queries = np.load(index / "topics" / f"{split}.npy", mmap_mode="r")[start : start + together]
            scores, rows = searcher.top_k(queries, index / "docs.npy", depth, block, passages.places)
        for at in range(0, len(rows), QUERIES):
            yield part["query_id"][at : at + QUERIES], scores[at : at + QUERIES], rows[at : at + QUERIES]


def _check_rows(index: Path, passages: int) -> None:
    vectors = np.load(index / "docs.npy", mmap_mode="r")
    if len(vectors) != passages:
        raise UserError(
            f"{index / 'docs.npy'}: {len(vectors)} vectors for {passages} passages; encode the corpus again"
        )


if __name__ == "__main__":
    main()
