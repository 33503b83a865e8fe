"""Visualize: bars of change, training curves, and the projection of one sample through every variant's vectors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq

from stages import params
from stages.analysis import projection
from stages.analysis.geometry import Figures
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import growth as shares
from stages.evaluation import results as files
from stages.evaluation.results import Result
from stages.params import Study
from stages.reporting import figures, growth, searches, style, training_logs

folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--training", type=folder, required=True, help="the training logs of all variants")
@click.option("--results", type=file, required=True, help="means and comparisons with the base, JSON")
@click.option("--projection", "measured", type=file, required=True, help="what was measured on the sample, JSON")
@click.option("--points", type=file, required=True, help="where each vector is in the plane, parquet")
@click.option(
    "--out", type=output, required=True, help="folder of the pictures, search-<name>.png and growth.png among them"
)
def main(training: Path, results: Path, measured: Path, points: Path, out: Path) -> None:
    """Draw what fine-tuning did: to the measure, during training, and to the vectors; and the trials of each search.

    Variants without vectors (BM25, published runs) have bars only. Where nothing was projected, the picture says so.
    """
    study = params.load()
    everything = _results(results, study)
    logs = {name: log for name, log in training_logs.read(training, study.variants).items() if log.seed_runs}
    lines = style.lines(logs)
    here = files.at(everything, study.report.in_domain)
    panels = {str(target): files.at(everything, target) for target in study.report.targets}
    shown = [name for name in study.variants if name != study.report.base]
    projected = json.loads(measured.read_text())
    places = projection.from_table(pq.read_table(points))
    titles = {name: _title(name, here.get(name), projected["variants"][name]) for name in places}
    caption = projected["left_out"] or _caption(projected)
    with publish(out) as draft:
        draft.mkdir()
        style.save(figures.changes(shown, panels), draft / "degradation.png")
        style.save(figures.curves(logs, lines), draft / "curves.png")
        style.save(figures.projection(places, titles, lines, caption), draft / "umap.png")
        if shares.groups(study):
            style.save(growth.curves(study, everything), draft / "growth.png")
        for name in study.searches:
            if search := logs[name].search:
                style.save(searches.trials_picture(search), draft / f"search-{name}.png")


def _results(path: Path, study: Study) -> list[Result]:
    results = files.read(path)
    if missing := [name for name in study.variants if name not in {result.variant for result in results}]:
        raise UserError(f"{path}: no results of {', '.join(missing)}; run dvc repro")
    return results


def _caption(projected: Mapping[str, Any]) -> str:
    sample, umap = projected["sample"], projected["umap"]
    return (
        f"One UMAP of {len(projected['variants'])} variants x {sample['pairs']} pairs of {sample['corpus']} "
        f"{sample['split']}, n_neighbors {umap['n_neighbors']} a variant, min_dist {umap['min_dist']:g}, "
        f"{umap['metric']}, seed {umap['seed']}. Distances between far groups mean little."
    )


def _title(name: str, result: Result | None, measured: Figures) -> str:
    """A panel's two lines: the variant (and which seed run, of several), its measure, its mean cosine to the base."""
    seed_runs = sorted(result.by_seed_run) if result else []
    title = name if len(seed_runs) < 2 else f"{name}, {seed_runs[0]} of {len(seed_runs)}"
    parts = [f"{result.measure} {result.by_seed_run[seed_runs[0]]:.3f}"] if result else []
    if (cosine := measured["mean_cosine_to_base"]) is not None:
        parts.append(f"cosine to base {cosine:.2f}")
    return f"{title}\n{', '.join(parts)}"


if __name__ == "__main__":
    main()
