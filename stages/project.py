"""Project: one plane for one sample of query-passage pairs in every variant's vectors, and what is measured on it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq

from stages import params
from stages.analysis import projection, vectors
from stages.analysis.geometry import Figures
from stages.collections import canonical
from stages.core.files import publish
from stages.params import Study

FEWEST = 5
folder = click.Path(exists=True, file_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--indexes", type=folder, required=True, help="the vectors of all variants")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--points", type=output, required=True, help="where each vector is in the plane, parquet")
@click.option("--out", type=output, required=True, help="what was measured on the sample, JSON")
def main(indexes: Path, corpora: Path, points: Path, out: Path) -> None:
    """Project one sample of query-passage pairs once for all variants together, so that they can be compared.

    Of a variant with several seed runs the first is projected; variants without vectors (BM25, published runs) are left
    out. With fewer than five pairs nothing is projected, and the file says so.
    """
    study = params.load()
    collection = corpora / study.umap.corpus
    seed_runs = vectors.seed_runs(indexes, study.searchers, study.umap.corpus)
    rows = _pairs(study, collection)
    sampled = _sample(study, seed_runs, collection, rows) if len(rows[0]) >= FEWEST else {}
    settings = study.umap.model_dump(include={"n_neighbors", "min_dist", "metric", "seed"})
    places = projection.project(sampled, **settings) if sampled else {}
    written = {
        "sample": {
            **study.umap.model_dump(include={"corpus", "split", "seed"}),
            "pairs": len(rows[0]) if sampled else 0,
        },
        "umap": settings,
        "left_out": None if sampled else _left_out(study, len(rows[0])),
        "variants": _measured(study, sampled, places),
    }
    with publish(points) as draft:
        pq.write_table(projection.as_table(places), draft)
    with publish(out) as draft:
        draft.write_text(json.dumps(written, indent=1) + "\n")


def _pairs(study: Study, collection: Path) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers (n,) of the sample's queries, and (n,) of a relevant passage of each."""
    settings = study.umap
    query_ids = canonical.topics(collection, settings.split)["query_id"]
    qrels = canonical.qrels(collection, settings.split)
    rel = study.corpora[settings.corpus].judged[settings.split].rel
    return projection.pairs(query_ids, canonical.doc_ids(collection), qrels, rel, settings.pairs, settings.seed)


def _left_out(study: Study, pairs: int) -> str:
    """Why there is no projection."""
    if pairs >= FEWEST:
        return "No variant of this study has vectors."
    umap = study.umap
    return (
        f"Nothing was projected: {umap.corpus} {umap.split} has {pairs} queries with a relevant passage of their own, "
        f"and a projection needs {FEWEST}. Another split can be named in umap."
    )


def _sample(
    study: Study, seed_runs: Mapping[str, Sequence[Path]], collection: Path, rows: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Variant -> unit vectors (2n, d) of one sample of n pairs (see _pairs) by its first seed run.

    Variants without vectors are left out, and those whose vectors are not as wide as the base's.
    """
    base, split = study.report.base, study.umap.split
    asking, answering = (pq.ParquetFile(path).metadata.num_rows for path in _texts(collection, split))
    sampled = {}
    for name, (index, *_) in seed_runs.items():
        if (index / "docs.npy").exists():
            queries = vectors.opened(index / "topics" / f"{split}.npy", asking)
            passages = vectors.opened(index / "docs.npy", answering)
            sampled[name] = np.vstack([vectors.chosen(queries, rows[0]), vectors.chosen(passages, rows[1])])
    width = sampled.get(base, next(iter(sampled.values()), np.empty((0, 0)))).shape[1]
    for name in [name for name, own in sampled.items() if own.shape[1] != width]:
        click.echo(f"{name}: its vectors have {sampled.pop(name).shape[1]} dimensions and not {width}; not projected")
    return sampled


def _texts(collection: Path, split: str) -> tuple[Path, Path]:
    return collection / "topics" / f"{split}.parquet", collection / "docs.parquet"


def _measured(study: Study, sampled: Mapping[str, np.ndarray], points: Mapping[str, np.ndarray]) -> dict[str, Figures]:
    base = sampled.get(study.report.base)
    umap = study.umap
    return {
        name: projection.figures(own, points[name], base, umap.metric, umap.n_neighbors)
        for name, own in sampled.items()
    }


if __name__ == "__main__":
    main()
