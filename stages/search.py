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
from stages.retrieval import bm25, dense, ranking, runs

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
    passages = _passages(collection)
    with publish(out) as draft:
        asked = sum(len(canonical.topics(collection, split)) for split in study.corpora[corpus].judged)
        _require_space(out, asked * len(model_folder.seed_runs(index)), study.search.depth, "search.depth")
        for seed_run in model_folder.seed_runs(index):
            (draft / seed_run.name).mkdir(parents=True)
            for split, rules in study.corpora[corpus].judged.items():
                if _ranks(seed_run, split):
                    topics = canonical.topics(collection, split)
                    search = study.search
                    parts = _runs(seed_run, split, passages, topics, search, rules.drop_self, f"{variant} {corpus}")
                    queries += runs.write(parts, draft / seed_run.name / f"{split}.parquet")
    costs.record("search", f"{variant}.{corpus}", queries_per_second=queries / clock.seconds())


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
    with publish(out) as draft:
        _require_space(out, len(topics), block.depth, f"pools.{pool}.depth")
        runs.write(_runs(seed_run, "train", _passages(collection), topics, search, drop_self, pool), draft)


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


def _runs(
    index: Path, split: str, passages: Passages, topics: pa.Table, search: Search, drop_self: bool, label: str
) -> Iterator[pa.Table]:
    """The run of one index over one split, QUERIES queries at a time, without the queries themselves if drop_self."""
    from tqdm import tqdm

    if (index / f"{split}.parquet").exists():
        for run in runs.read(index / f"{split}.parquet"):
            yield runs.without_self(run) if drop_self else run
        return
    depth = search.depth + drop_self
    with tqdm(total=len(topics), desc=f"{label} {split}", unit="query", mininterval=2) as bar:
        for start in range(0, len(topics), QUERIES):
            part = topics.slice(start, QUERIES).to_pydict()
            if (index / "bm25").exists():
                scores, rows = bm25.top_k(part["text"], index / "bm25", depth, passages.places)
            else:
                queries = np.load(index / "topics" / f"{split}.npy", mmap_mode="r")[start : start + QUERIES]
                scores, rows = dense.top_k(
                    queries, _vectors(index, len(passages.ids)), depth, search.block, passages.places
                )
            bar.update(len(rows))
            run = runs.table(part["query_id"], passages.ids, scores, rows)
            yield runs.first(runs.without_self(run), search.depth) if drop_self else run


def _vectors(index: Path, passages: int) -> np.ndarray:
    vectors = np.load(index / "docs.npy", mmap_mode="r")
    if len(vectors) != passages:
        raise UserError(
            f"{index / 'docs.npy'}: {len(vectors)} vectors for {passages} passages; encode the corpus again"
        )
    return vectors


if __name__ == "__main__":
    main()
