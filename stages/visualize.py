"""Visualize: bars of change, training curves, and one projection of one sample through every variant's vectors."""

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
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import results as files
from stages.evaluation.results import Result
from stages.params import Study
from stages.reporting import figures, style, training_logs

FEWEST = 5
folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--indexes", type=folder, required=True, help="the vectors of all variants")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--training", type=folder, required=True, help="the training logs of all variants")
@click.option("--results", type=file, required=True, help="means and comparisons with the base, JSON")
@click.option("--out", type=output, required=True, help="folder of degradation.png, curves.png and umap.png")
@click.option("--projection", "measured", type=output, required=True, help="what was measured on the sample, JSON")
def main(indexes: Path, corpora: Path, training: Path, results: Path, out: Path, measured: Path) -> None:
    """Draw what fine-tuning did: to the measure, during training, and to the vectors.

    One sample of query-passage pairs is projected once for all variants together, so that their panels can be compared;
    of a variant with several seed runs the first is drawn. Variants without vectors (BM25, published runs) have bars
    only. With fewer than five pairs nothing is projected, and the report says so.
    """
    study = params.load()
    everything = _results(results, study)
    logs = {name: log for name, log in training_logs.read(training, study.variants).items() if log.seed_runs}
    lines = style.lines(logs)
    here = files.at(everything, study.report.in_domain)
    panels = {str(target): files.at(everything, target) for target in study.report.targets}
    shown = [name for name in study.variants if name != study.report.base]
    seed_runs = vectors.seed_runs(indexes, study.searchers, study.umap.corpus)
    rows = _pairs(study, corpora / study.umap.corpus)
    enough = len(rows[0]) >= FEWEST
    sampled = _sample(study, seed_runs, corpora / study.umap.corpus, rows) if enough else {}
    left_out = None if sampled else _left_out(study, len(rows[0]))
    settings = study.umap.model_dump(include={"n_neighbors", "min_dist", "metric", "seed"})
    points = projection.project(sampled, **settings) if sampled else {}
    measures = _measured(study, sampled, points)
    titles = {name: _title(name, seed_runs[name], here.get(name), measures[name]) for name in sampled}
    pairs = len(rows[0]) if sampled else 0
    sample = {**study.umap.model_dump(include={"corpus", "split", "seed"}), "pairs": pairs}
    caption = left_out or _caption(study, len(sampled), pairs)
    with publish(out) as draft:
        draft.mkdir()
        style.save(figures.changes(shown, panels), draft / "degradation.png")
        style.save(figures.curves(logs, lines), draft / "curves.png")
        style.save(figures.projection(points, titles, lines, caption), draft / "umap.png")
    written = {"sample": sample, "umap": settings, "left_out": left_out, "variants": measures}
    with publish(measured) as draft:
        draft.write_text(json.dumps(written, indent=1) + "\n")


def _results(path: Path, study: Study) -> list[Result]:
    results = files.read(path)
    if missing := [name for name in study.variants if name not in {result.variant for result in results}]:
        raise UserError(f"{path}: no results of {', '.join(missing)}; run dvc repro")
    return results


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


def _caption(study: Study, variants: int, pairs: int) -> str:
    umap = study.umap
    return (
        f"One UMAP of {variants} variants x {pairs} pairs of {umap.corpus} {umap.split}, n_neighbors "
        f"{umap.n_neighbors} a variant, min_dist {umap.min_dist:g}, {umap.metric}, seed {umap.seed}. Distances "
        "between far groups mean little."
    )


def _title(name: str, seed_runs: Sequence[Path], result: Result | None, measured: Figures) -> str:
    """A panel's two lines: the variant (and which seed run, of several), its measure, its mean cosine to the base."""
    first = seed_runs[0].name
    title = name if len(seed_runs) == 1 else f"{name}, {first} of {len(seed_runs)}"
    parts = [f"{result.measure} {result.by_seed_run[first]:.3f}"] if result else []
    if (cosine := measured["mean_cosine_to_base"]) is not None:
        parts.append(f"cosine to base {cosine:.2f}")
    return f"{title}\n{', '.join(parts)}"


if __name__ == "__main__":
    main()
