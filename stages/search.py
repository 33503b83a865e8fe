"""Search: a variant's runs, or a pool of passages for the training queries."""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages import params
from stages.collections import canonical
from stages.core import costs
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import model_folder
from stages.retrieval import bm25, dense, runs

QUERIES = 4096  # searched at a time
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Exact search of an index by inner product of unit vectors (cosine), or by BM25.

    Passages with equal scores are ranked by row number, the lower one first.
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
    depth, block = study.search.depth, study.search.block
    clock, queries = costs.Clock(), 0
    with publish(out) as draft:
        for seed_run in model_folder.seed_runs(index):
            (draft / seed_run.name).mkdir(parents=True)
            for split, rules in study.corpora[corpus].judged.items():
                parts = _runs(seed_run, collection, split, depth, block, f"{variant} {corpus} {split}")
                if rules.drop_self:
                    parts = (run.filter(pc.not_equal(run["query_id"], run["doc_id"])) for run in parts)
                queries += runs.write(parts, draft / seed_run.name / f"{split}.parquet")
    costs.record("search", f"{variant}.{corpus}", queries_per_second=queries / clock.seconds())


@main.command()
@click.argument("pool")
@click.option("--index", type=folder, required=True, help="the retriever's indexes of the corpus")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the pool, a parquet file")
def mine(pool: str, index: Path, collection: Path, out: Path) -> None:
    """Rank the passages for the training queries: the pool from which hard negatives are drawn by rank.

    A trained variant mines with its first seed run by name, for all seeds.
    """
    study = params.load()
    seed_run = model_folder.seed_runs(index)[0]
    with publish(out) as draft:
        runs.write(_runs(seed_run, collection, "train", study.pools[pool].depth, study.search.block, pool), draft)


def _runs(index: Path, collection: Path, split: str, depth: int, block: int, label: str) -> Iterator[pa.Table]:
    """The run of one index over one split, QUERIES queries at a time; none where a published run has none."""
    from tqdm import tqdm

    if (index / f"{split}.parquet").exists():
        yield from runs.read(index / f"{split}.parquet")
    if not (index / "docs.npy").exists() and not (index / "bm25").exists():
        return
    doc_ids = canonical.doc_ids(collection)
    topics = canonical.topics(collection, split).to_pydict()
    with tqdm(total=len(topics["text"]), desc=label, unit="query", mininterval=2) as bar:
        for start in range(0, len(topics["text"]), QUERIES):
            part = slice(start, start + QUERIES)
            if (index / "bm25").exists():
                scores, rows = bm25.top_k(topics["text"][part], index / "bm25", depth)
            else:
                queries = np.load(index / "topics" / f"{split}.npy", mmap_mode="r")[part]
                scores, rows = dense.top_k(queries, _vectors(index, len(doc_ids)), depth, block)
            bar.update(len(rows))
            yield runs.table(topics["query_id"][part], doc_ids, scores, rows)


def _vectors(index: Path, passages: int) -> np.ndarray:
    vectors = np.load(index / "docs.npy", mmap_mode="r")
    if len(vectors) != passages:
        raise UserError(
            f"{index / 'docs.npy'}: {len(vectors)} vectors for {passages} passages; encode the corpus again"
        )
    return vectors


if __name__ == "__main__":
    main()
