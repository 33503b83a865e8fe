"""Audit: what the negatives were that training saw, whatever params.yaml meant them to be."""
import json
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import params
from stages.core import leftovers
from stages.negatives import hardness
from stages.reporting import audit_picture
from stages.reporting import plotting
from stages.core.errors import UserError
from stages.core.files import publish

folder = click.Path(exists=True, file_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--triplets", type=folder, required=True, help="the draws of all blocks")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--indexes", type=folder, required=True, help="the vectors of all rows; the base's are read")
@click.option("--out", type=output, required=True, help="the figures of each block, JSON")
@click.option("--picture", type=output, required=True, help="ranks and score gaps of each block, PNG")
def main(triplets: Path, corpora: Path, indexes: Path, out: Path, picture: Path) -> None:
    """Count, for each block of triplets that has any, how hard its negatives are and how many are false ones.

    Figures are means over the seeds; ranks and score gaps are those of all seeds together. Scores are the base's; where
    the base has no vectors (BM25, a published run) what is made of scores is null.
    """
    study = params.load()
    for line in [*leftovers.remove(corpora, study.corpora), *leftovers.remove(triplets, study.triplets)]:
        click.echo(line)
    audit = {}
    for block, row in study.triplets.items():
        if not row.size:
            continue
        collection = corpora / row.corpus
        vectors = _vectors(indexes / study.report.base / row.corpus / "pretrained", collection)
        qrels = _qrels(collection)
        judged = list(study.corpora[row.corpus].judged)
        draws, gaps, ranks = [], [], []
        for seed in study.seeds:
            draw = _read(triplets / block / f"seed-{seed}.parquet")
            if vectors:
                gaps.append(hardness.score_gaps(*vectors, _rows(draw, collection)))
            draws.append(hardness.figures(draw, qrels, judged, gaps[-1] if gaps else None))
            ranks.append(draw["rank"].to_numpy())
        audit[block] = {"seeds": len(draws), **hardness.mean(draws),
                        "ranks": hardness.rank_histogram(np.concatenate(ranks), row.ranks),
                        "gaps": hardness.gap_histogram(np.concatenate(gaps)) if gaps else None}
    with publish(out) as draft:
        draft.write_text(json.dumps(audit, indent=1) + "\n")
    with publish(picture) as draft:
        plotting.save(audit_picture.negatives(audit), draft)


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run dvc repro")
    return pq.read_table(path)


def _qrels(collection: Path) -> pa.Table:
    """All judgments of a corpus, each with the split it belongs to."""
    tables = {path.stem: pq.read_table(path) for path in sorted((collection / "qrels").glob("*.parquet"))}
    return pa.concat_tables(table.append_column("split", pa.array([split] * len(table), pa.string()))
                            for split, table in tables.items())


def _vectors(index: Path, collection: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The base's vectors of the training queries and of the passages, mapped; None where it is no dense row."""
    if not index.is_dir():
        raise UserError(f"{index}: there is no index by the base (report.base); run dvc repro")
    if not (index / "docs.npy").exists():
        return None
    found = []
    for name in ("topics/train", "docs"):
        path, texts = index / f"{name}.npy", collection / f"{name}.parquet"
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; run dvc repro")
        found.append(np.load(path, mmap_mode="r"))
        if len(found[-1]) != pq.ParquetFile(texts).metadata.num_rows:
            raise UserError(f"{path}: not as many vectors as {texts} has texts; encode the corpus again")
    return tuple(found)


def _rows(draw: pa.Table, collection: Path) -> np.ndarray:
    """The row numbers (n, 3) of each triplet's query, positive and negative in the files of the corpus."""
    passages = collection / "docs.parquet"
    return np.column_stack([_places(draw["query_id"], collection / "topics" / "train.parquet"),
                            _places(draw["positive_id"], passages), _places(draw["negative_id"], passages)])


def _places(ids: pa.ChunkedArray, path: Path) -> np.ndarray:
    """The row of each id (n,) in the first column of a parquet file, read in batches."""
    wanted = ids.unique()
    rows = np.full(len(wanted), -1)
    start = 0
    file = pq.ParquetFile(path, memory_map=True)
    for batch in file.iter_batches(100_000, columns=[file.schema_arrow.names[0]]):
        at = pc.index_in(batch.column(0), value_set=wanted)
        rows[at.drop_null().to_numpy()] = start + np.flatnonzero(at.is_valid())
        start += len(batch)
    if (rows < 0).any():
        raise UserError(f"{path}: has no '{wanted[int(rows.argmin())]}', which triplets name; run dvc repro")
    return rows[pc.index_in(ids, value_set=wanted).to_numpy()]


if __name__ == "__main__":
    main()
