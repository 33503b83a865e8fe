"""Audit: how hard the drawn negatives are, and how many are false negatives."""

import json
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.collections import canonical
from stages.collections.passages import row_numbers
from stages.core.errors import UserError
from stages.core.files import publish
from stages.negatives import hardness, histograms
from stages.params.triplets import Triplets
from stages.reporting import negatives, style

folder = click.Path(exists=True, file_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--triplets", type=folder, required=True, help="the triplets of all blocks")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--indexes", type=folder, required=True, help="the vectors of all variants; the base's are read")
@click.option("--out", type=output, required=True, help="the figures of each block, JSON")
@click.option("--picture", type=output, required=True, help="ranks and score gaps of each block, PNG")
def main(triplets: Path, corpora: Path, indexes: Path, out: Path, picture: Path) -> None:
    """Measure, for each block that has triplets, how hard its negatives are and how many are false negatives.

    Figures are means over the seeds; ranks and score gaps are those of all seeds together. The base scores; where it
    has no vectors (BM25, a published run), what is made of scores is null.
    """
    study = params.load()
    audits = {}
    for name, block in study.triplets.items():
        if block.size:
            draws = [_read(triplets / name / f"seed-{seed}.parquet") for seed in study.seeds]
            index = indexes / study.report.base / block.corpus / "pretrained"
            judged = list(study.corpora[block.corpus].judged)
            audits[name] = _audit(block, draws, corpora / block.corpus, judged, index)
    with publish(out) as draft:
        draft.write_text(json.dumps(hardness.as_json(audits), indent=1) + "\n")
    with publish(picture) as draft:
        style.save(negatives.draw(audits), draft)


def _audit(block: Triplets, draws: list[pa.Table], collection: Path, judged: list[str], index: Path) -> hardness.Audit:
    qrels = _qrels(collection)
    vectors = _vectors(index, collection)
    gaps = [hardness.score_gaps(*vectors, _rows(draw, collection)) for draw in draws] if vectors else []
    figures = [hardness.figures(draw, qrels, judged, gaps[at] if vectors else None) for at, draw in enumerate(draws)]
    ranks = np.concatenate([draw["rank"].to_numpy() for draw in draws])
    return hardness.Audit(
        seeds=len(draws),
        figures=hardness.mean(figures),
        ranks=histograms.of_ranks(ranks, block.ranks),
        gaps=histograms.of_gaps(np.concatenate(gaps)) if vectors else None,
    )


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run dvc repro")
    return pq.read_table(path)


def _qrels(collection: Path) -> pa.Table:
    """All judgments of a corpus, each with the split it belongs to."""
    tables = {split: canonical.qrels(collection, split) for split in canonical.splits(collection)}
    return pa.concat_tables(
        table.append_column("split", pa.array([split] * len(table), pa.string())) for split, table in tables.items()
    )


def _vectors(index: Path, collection: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The base's vectors of the training queries and of the passages, mapped; None where it has none."""
    if not index.is_dir():
        raise UserError(f"{index}: the base (report.base) has no index there; run dvc repro")
    if not (index / "docs.npy").exists():
        return None
    return _mapped(index, collection, "topics/train"), _mapped(index, collection, "docs")


def _mapped(index: Path, collection: Path, name: str) -> np.ndarray:
    path, texts = index / f"{name}.npy", collection / f"{name}.parquet"
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run dvc repro")
    vectors = np.load(path, mmap_mode="r")
    if len(vectors) != pq.ParquetFile(texts).metadata.num_rows:
        raise UserError(f"{path}: does not have a vector for each text of {texts}; encode the corpus again")
    return vectors


def _rows(draw: pa.Table, collection: Path) -> np.ndarray:
    """The row numbers (n, 3) of each triplet's query, positive and negative in the files of the corpus."""
    docs, topics = collection / "docs.parquet", collection / "topics" / "train.parquet"
    return np.column_stack(
        [
            row_numbers(topics, draw["query_id"]),
            row_numbers(docs, draw["positive_id"]),
            row_numbers(docs, draw["negative_id"]),
        ]
    )


if __name__ == "__main__":
    main()
