"""Visualize: degradation bars, training curves, and one projection of one sample through every row's vectors."""
import json
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq

from stages import params
from stages.analysis import projection
from stages.analysis.vectors import unit
from stages.core import leftovers
from stages.reporting import plotting
from stages.core.errors import UserError
from stages.core.files import publish

FEWEST = 5
folder = click.Path(exists=True, file_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--indexes", type=folder, required=True, help="the vectors of all rows")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--training", type=folder, required=True, help="the training logs of all rows")
@click.option("--results", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="means, changes and intervals, JSON")
@click.option("--out", type=output, required=True, help="folder of degradation.png, curves.png and umap.png")
@click.option("--projection", "measured", type=output, required=True, help="what was measured on the sample, JSON")
def main(indexes: Path, corpora: Path, training: Path, results: Path, out: Path, measured: Path) -> None:
    """Draw what the lessons did: to the measure, while they were learned, and to the vectors.

    One sample of query-passage pairs is projected once for all rows together, so that their panels can be compared;
    of a row with several copies the first is drawn. Rows without vectors (BM25, published runs) have bars only.
    """
    study = params.load()
    rows, base = list(study.variants), study.report.base
    for line in [*leftovers.remove(indexes, study.searchers, study.corpora), *leftovers.remove(training, rows)]:
        click.echo(line)
    entries = _results(results, rows)
    logs = _logs(training, rows)
    copies = _copies(indexes, list(study.searchers), study.umap.corpus)
    rel = study.corpora[study.umap.corpus].judged[study.umap.split].rel
    vectors = _vectors(copies, corpora / study.umap.corpus, study.umap, rel, base)
    settings = study.umap.model_dump(include={"n_neighbors", "min_dist", "metric", "seed"})
    points = projection.project(vectors, **settings) if vectors else {}
    figures = {row: projection.figures(vectors[row], points[row], vectors.get(base), study.umap.metric,
                                       study.umap.n_neighbors) for row in vectors}
    pairs = len(next(iter(vectors.values()))) // 2 if vectors else 0
    sample = {**study.umap.model_dump(include={"corpus", "split", "seed"}), "pairs": pairs}
    look = plotting.looks([row for row in rows if logs[row]])
    places = {f"{place.corpus} {place.split}, {place.measure}": _at(entries, place)
              for place in (study.report.in_domain, study.report.out_of_domain) if place}
    primary = _at(entries, study.report.in_domain)
    titles = {row: _title(row, copies[row], primary.get(row), figures[row]) for row in vectors}
    line = (f"One UMAP of {len(vectors)} rows x {pairs} pairs of {study.umap.corpus} {study.umap.split}, "
            f"n_neighbors {study.umap.n_neighbors} a row, min_dist {study.umap.min_dist:g}, {study.umap.metric}, "
            f"seed {study.umap.seed}. Distances between far groups mean little.")
    with publish(out) as draft:
        draft.mkdir()
        others = [row for row in rows if row != base]
        plotting.save(plotting.degradation(others, places), draft / "degradation.png")
        plotting.save(plotting.curves({row: logs[row] for row in look}, look), draft / "curves.png")
        plotting.save(plotting.projection(points, titles, look, line), draft / "umap.png")
    with publish(measured) as draft:
        draft.write_text(json.dumps({"sample": sample, "umap": settings, "variants": figures}, indent=1) + "\n")


def _results(path: Path, rows: list[str]) -> list[dict]:
    entries = json.loads(path.read_text())
    missing = [row for row in rows if row not in {entry["variant"] for entry in entries}]
    if missing:
        raise UserError(f"{path}: no figures of {', '.join(missing)}; run dvc repro")
    return entries


def _logs(training: Path, rows: list[str]) -> dict[str, list[list[dict]]]:
    """Row -> the logs of its copies; none for a row that is not trained."""
    missing = [row for row in rows if not (training / f"{row}.json").is_file()]
    if missing:
        raise UserError(f"{training}: no training log of {', '.join(missing)}; run dvc repro")
    found = {row: json.loads((training / f"{row}.json").read_text()) for row in rows}
    return {row: [copy["log"] for copy in found[row]["seed_runs"]] for row in rows}


def _copies(indexes: Path, rows: list[str], corpus: str) -> dict[str, list[Path]]:
    """Row -> the folders of its copies' indexes of the corpus, sorted."""
    found = {row: sorted(path for path in (indexes / row / corpus).glob("*") if path.is_dir()) for row in rows}
    missing = [row for row, copies in found.items() if not copies]
    if missing:
        raise UserError(f"{indexes}: no index of {corpus} by {', '.join(missing)}; run dvc repro")
    return found


def _vectors(copies: dict[str, list[Path]], collection: Path, spot, rel: int, base: str) -> dict[str, np.ndarray]:
    """Row -> unit vectors (2n, d) of one sample of n pairs by the row's first copy; rows of the base's width only."""
    query_ids = pq.read_table(collection / "topics" / f"{spot.split}.parquet", columns=["query_id"])["query_id"]
    doc_ids = pq.read_table(collection / "docs.parquet", columns=["doc_id"])["doc_id"]
    qrels = pq.read_table(collection / "qrels" / f"{spot.split}.parquet")
    queries, passages = projection.pairs(query_ids, doc_ids, qrels, rel, spot.pairs, spot.seed)
    if len(queries) < FEWEST:
        raise UserError(f"umap: {collection}, split {spot.split}, has {len(queries)} queries with a relevant passage of "
                      f"their own; at least {FEWEST} are needed")
    found = {}
    for row, (copy, *_) in copies.items():
        if (copy / "docs.npy").exists():
            found[row] = np.vstack([_read(copy / "topics" / f"{spot.split}.npy", len(query_ids), queries),
                                    _read(copy / "docs.npy", len(doc_ids), passages)])
    width = found.get(base, next(iter(found.values()), np.empty((0, 0)))).shape[1]
    for row in [row for row in found if found[row].shape[1] != width]:
        click.echo(f"{row}: its vectors have {found.pop(row).shape[1]} dimensions and not {width}; not projected")
    return found


def _read(path: Path, rows: int, chosen: np.ndarray) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run dvc repro")
    vectors = np.load(path, mmap_mode="r")
    if len(vectors) != rows:
        raise UserError(f"{path}: {len(vectors)} vectors for {rows} texts; encode the corpus again")
    if not np.isfinite(vectors[chosen]).all():
        raise UserError(f"{path}: some vectors are not numbers; the training of this row diverged, lower its lr")
    return unit(vectors[chosen])


def _at(entries: list[dict], place) -> dict[str, dict]:
    """Row -> its entry of results.json at a corpus, split and measure."""
    wanted = (place.corpus, place.split, place.measure)
    return {entry["variant"]: entry for entry in entries if (entry["corpus"], entry["split"], entry["measure"]) == wanted}


def _title(row: str, copies: list[Path], entry: dict | None, figures: dict) -> str:
    """A panel's two lines: the row (and which copy, of several), its measure, its mean cosine to the base."""
    name = row if len(copies) == 1 else f"{row}, {copies[0].name} of {len(copies)}"
    parts = [f"{entry['measure']} {entry['by_seed_run'][copies[0].name]:.3f}"] if entry else []
    if figures["mean_cosine_to_base"] is not None:
        parts.append(f"cosine to base {figures['mean_cosine_to_base']:.2f}")
    return f"{name}\n{', '.join(parts)}"


if __name__ == "__main__":
    main()
