"""Search: one row's runs, or a pool of candidates for the training queries."""
from pathlib import Path

import click
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import params
from stages.core import costs
from stages.retrieval import bm25
from stages.retrieval import dense
from stages.retrieval import runs
from stages.core.errors import UserError
from stages.core.files import publish

QUERIES = 4096
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Exact search of an index by inner product of unit vectors (cosine), or by BM25; ties go to the lower row."""


@main.command()
@click.argument("variant")
@click.argument("corpus")
@click.option("--index", type=folder, required=True, help="the row's indexes of the corpus")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of runs, one a trained copy")
def rank(row: str, corpus: str, index: Path, collection: Path, out: Path) -> None:
    """Rank the passages of CORPUS for the queries of its judged splits, with every trained copy of ROW."""
    study = params.load()
    judged = study.corpora[corpus].judged
    clock, queries = costs.Clock(), 0
    with publish(out) as draft:
        for copy in sorted(path for path in index.iterdir() if path.is_dir()):
            home = draft / copy.name
            home.mkdir(parents=True)
            for split, rules in judged.items():
                found = _runs(copy, collection, split, study.search.depth, study.search.block, f"{row} {corpus} {split}")
                if rules.drop_self:
                    found = (run.filter(pc.not_equal(run["query_id"], run["doc_id"])) for run in found)
                queries += runs.write(found, home / f"{split}.parquet")
    costs.record("search", f"{row}.{corpus}", queries_per_second=queries / clock.seconds())


@main.command()
@click.argument("pool")
@click.option("--index", type=folder, required=True, help="the retriever's indexes of the corpus")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the pool, a parquet file")
def mine(pool: str, index: Path, collection: Path, out: Path) -> None:
    """Rank the passages for the training queries: the pool that hard negatives are drawn from by rank.

    A trained row mines with the first of its copies by name, for all seeds.
    """
    study = params.load()
    copy = min(path for path in index.iterdir() if path.is_dir())
    with publish(out) as draft:
        runs.write(_runs(copy, collection, "train", study.pools[pool].depth, study.search.block, pool), draft)


def _runs(index: Path, collection: Path, split: str, depth: int, block: int, label: str):
    """The run of one index over one split, some thousand queries at a time; none where a published run has none."""
    from tqdm import tqdm
    if (index / f"{split}.parquet").exists():
        yield from runs.read(index / f"{split}.parquet")
    if not (index / "docs.npy").exists() and not (index / "bm25").exists():
        return
    doc_ids = pq.read_table(collection / "docs.parquet", columns=["doc_id"])["doc_id"].combine_chunks()
    topics = pq.read_table(collection / "topics" / f"{split}.parquet", columns=["query_id", "text"]).to_pydict()
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
        raise UserError(f"{index / 'docs.npy'}: {len(vectors)} vectors for {passages} passages; encode the corpus again")
    return vectors


if __name__ == "__main__":
    main()
