"""Diagnose: the geometry of every variant's space next to its change, and numerical checks of its runs."""

import json
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from stages import params
from stages.analysis import diagnosis, geometry, numerical_checks, probe, vectors
from stages.analysis.diagnosis import Cut, Diagnosis, Sample
from stages.analysis.geometry import Figures
from stages.analysis.numerical_checks import Ranking
from stages.analysis.probe import JudgedRanking, Probe
from stages.core.errors import UserError
from stages.core.files import publish
from stages.core.rounding import rounded
from stages.evaluation import per_query
from stages.models import caps, encoding, local_settings, precision
from stages.models.local_settings import Reading
from stages.params import Study
from stages.params.report import Target

DEPTH = 10
folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--indexes", type=folder, required=True, help="the vectors of all variants")
@click.option("--runs", "ranked", type=folder, required=True, help="the runs of all variants")
@click.option("--models", type=folder, required=True, help="the models of all variants")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--queries", type=file, required=True, help="per-query values, parquet")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="all figures, JSON")
def main(indexes: Path, ranked: Path, models: Path, corpora: Path, queries: Path, out: Path) -> None:
    """Measure every variant's space, and what ties and half precision could change in its runs, in domain.

    A variant's figures are means over its seed runs; one without vectors (BM25, a published run) has only those of
    ties. Each figure of the space is correlated with the difference from the base over fine-tuned retrievers: with a
    dozen figures tried, one small p says little. How each model reads texts, and how many of them it cut, is noted too.
    """
    study = params.load()
    target, settings = study.report.in_domain, study.diagnose
    rel = study.corpora[target.corpus].judged[target.split].rel
    sample = probe.read(corpora / target.corpus, target.split, rel, settings)
    geometries, checks = _measured(study, sample, indexes, ranked, models)
    trained = {
        variant: geometries[variant] for variant in study.trained if study.trained_on(variant) and variant in geometries
    }
    looked_at = {**target.model_dump(), **settings.model_dump(), "passages": len(sample.sample)}
    looked_at |= {"norms": len(sample.texts), "queries": len(sample.relevant), "pairs": len(sample.pairs[0])}
    correlations = geometry.correlations(trained, _changes(per_query.read(queries), trained, study.report.base, target))
    read = _readings(study, models), _cut(study, indexes), _computed(study, indexes, ranked)
    diagnosed = Diagnosis(Sample(**looked_at), geometries, checks, correlations, *read)
    with publish(out) as draft:
        draft.write_text(diagnosis.as_json(diagnosed))


def _changes(table: pa.Table, variants: Iterable[str], base: str, target: Target) -> dict[str, float]:
    """Variant -> its difference from the base on a target, in the measure's unit, for those measured there."""
    known = per_query.variants(table, target)
    of_base = per_query.of(table, base, target)
    measured = [name for name in variants if name in known and name != base]
    both = {name: per_query.common(per_query.of(table, name, target), of_base) for name in measured}
    return {name: rounded(own.mean - shared.mean) for name, (own, shared) in both.items()}


def _readings(study: Study, models: Path) -> dict[str, Reading]:
    """Variant -> how the model of its first seed run reads texts; a variant without a model is left out."""
    first = {variant: sorted((models / variant).glob("*"))[:1] for variant in study.variants}
    read = {variant: local_settings.reading(folder) for variant, folders in first.items() for folder in folders}
    return {variant: reading for variant, reading in read.items() if reading}


def _cut(study: Study, indexes: Path) -> dict[str, dict[str, dict[str, Cut]]]:
    """Variant -> corpus -> texts -> how many its first seed run cut; variants without vectors are left out."""
    cut: dict[str, dict[str, dict[str, Cut]]] = {}
    for variant, corpus in product(study.searchers, study.corpora):
        for path in sorted((indexes / variant / corpus).glob("*/caps.json"))[:1]:
            texts = {name: Cut(**entry) for name, entry in json.loads(path.read_text()).items()}
            cut.setdefault(variant, {})[corpus] = texts
    return cut


def _computed(study: Study, indexes: Path, runs: Path) -> dict[str, str]:
    """Variant -> the precision of its vectors or, of a reranker, its scores; other variants are left out."""
    folders = {variant: sorted((indexes / variant).glob("*/*")) for variant in study.searchers}
    folders |= {variant: [runs / variant] for variant in study.rerankers}
    found = {variant: [*filter(None, map(precision.recorded, places))] for variant, places in folders.items()}
    return {variant: computed_in[0] for variant, computed_in in found.items() if computed_in}


def _measured(
    study: Study, sample: Probe, indexes: Path, ranked: Path, models: Path
) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Variant -> the figures of its space, and variant -> those of its runs; a variant without any is left out."""
    target = study.report.in_domain
    folders = vectors.seed_runs(indexes, study.searchers, target.corpus)
    of_base = folders[study.report.base][0] / "docs.npy"
    base = None
    if of_base.exists():
        base = vectors.chosen(vectors.opened(of_base, len(sample.doc_ids)), sample.sample)
    geometries, checks = {}, {}
    for variant in study.searchers:
        spaces, runs = [], []
        for index in folders[variant]:
            run = ranked / variant / target.corpus / index.name / f"{target.split}.parquet"
            if not run.is_file() and (index / "docs.npy").exists():
                raise UserError(f"{run}: there is no such file; run dvc repro")
            if run.is_file():
                of_space, of_run = _of_seed_run(
                    index, run, models / variant / index.name, sample, base, study.diagnose.neighbours
                )
                spaces.append(of_space)
                runs.append(of_run)
        if any(spaces):
            geometries[variant] = _means(spaces)
        if runs:
            checks[variant] = _means(runs)
    return geometries, checks


def _of_seed_run(
    index: Path, run: Path, model: Path, sample: Probe, base: np.ndarray | None, k: int
) -> tuple[Figures, Figures]:
    """The figures of one seed run's space (none without vectors) and of its run."""
    rankings = probe.rankings(run, sample)
    ties = numerical_checks.of_ties([judged.ranking for judged in rankings], DEPTH, len(sample.relevant))
    if not (index / "docs.npy").exists():
        return {}, {**ties}
    passages = vectors.opened(index / "docs.npy", len(sample.doc_ids))
    queries = vectors.opened(index / "topics" / f"{run.stem}.npy", len(sample.queries))
    asked, relevant = (vectors.chosen(side, rows) for side, rows in zip((queries, passages), sample.pairs, strict=True))
    space = geometry.figures(vectors.chosen(passages, sample.sample), base, asked, relevant, k)
    encoder = encoding.load_encoder(model)
    caps.cut(encoder, *sample.caps)
    raw = probe.raw_vectors(encoder, sample.texts)
    lengths = {f"norm_{name}": value for name, value in geometry.norms(raw).items()}
    gaps = geometry.gaps(*_best_scores(rankings, queries, passages, sample))
    rescored = _in_half_precision(rankings, queries, passages, sample)
    halves = numerical_checks.of_half_precision(rescored, DEPTH, len(sample.relevant))
    return {**space, **lengths, **gaps}, {**ties, **halves}


def _best_scores(
    rankings: Sequence[JudgedRanking], queries: np.ndarray, passages: np.ndarray, sample: Probe
) -> np.ndarray:
    """(2, n): the best score of a relevant passage and of another one, for each query that has both."""
    best = []
    for judged in rankings:
        asked, own = queries[sample.queries[judged.query]], passages[sample.relevant[judged.query]]
        if len(own) and not judged.ranking.relevant.all():
            # Rounded as the run's own scores are, so that a copy of the relevant passage is no better and no worse.
            exact = (own.astype(np.float64) @ asked.astype(np.float64)).astype(np.float32)
            best.append((exact.max(), judged.ranking.scores[~judged.ranking.relevant][0]))
    return np.array(best).reshape(-1, 2).T


def _in_half_precision(
    rankings: Sequence[JudgedRanking], queries: np.ndarray, passages: np.ndarray, sample: Probe
) -> list[Ranking]:
    """The passages that half precision could bring into the first DEPTH, with their scores in it, in the old order."""
    rescored = []
    for judged in rankings:
        asked = queries[sample.queries[judged.query]]
        longest = np.linalg.norm(passages[judged.passages].astype(np.float64), axis=1).max(initial=0)
        length = float(np.linalg.norm(asked.astype(np.float64)) * longest)
        near = numerical_checks.within_reach(judged.ranking.scores, DEPTH, length)
        scores = numerical_checks.half(asked[None], passages[judged.passages[:near]])[0]
        rescored.append(Ranking(scores, judged.ranking.relevant[:near]))
    return rescored


def _means(seed_runs: Sequence[Figures]) -> Figures:
    """Each figure averaged over seed runs, 6 digits; None where one has none."""
    means: Figures = {}
    for name in seed_runs[0]:
        values = [figures[name] for figures in seed_runs]
        known = [value for value in values if value is not None]
        means[name] = rounded(np.mean(known)) if len(known) == len(values) else None
    return means


if __name__ == "__main__":
    main()
