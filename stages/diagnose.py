"""Diagnose: the shape of every row's space beside its change, and what ties and half precision could do to its runs."""
import json
from pathlib import Path

import click
import numpy as np

from stages import params
from stages.analysis import geometry
from stages.analysis import projection
from stages.analysis import probe
from stages.core import leftovers
from stages.evaluation import ties
from stages.models import encoding
from stages.models import raw_vectors
from stages.core.errors import UserError
from stages.core.files import publish

DEPTH = 10
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--indexes", type=folder, required=True, help="the vectors of all rows")
@click.option("--runs", "ranked", type=folder, required=True, help="the runs of all rows")
@click.option("--models", type=folder, required=True, help="the models of all rows")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--results", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="means, changes and intervals, JSON")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="what was found, JSON")
def main(indexes: Path, ranked: Path, models: Path, corpora: Path, results: Path, out: Path) -> None:
    """Measure every row's space, and the reach of ties and half precision in its runs, on the primary split.

    A row's figures are means over its copies; a row without vectors (BM25, a published run) has only those of its
    ties. Each figure is correlated with the change of the primary measure over trained rows: with a dozen figures
    tried, one small p says little.
    """
    study = params.load()
    for line in [*leftovers.remove(indexes, study.searchers, study.corpora), *leftovers.remove(models, study.variants)]:
        click.echo(line)
    spot, settings = study.report.in_domain, study.diagnose
    rel = study.corpora[spot.corpus].judged[spot.split].rel
    corpus = probe.corpus(corpora / spot.corpus, spot.split, rel, settings)
    copies = {row: sorted(path for path in (indexes / row / spot.corpus).glob("*") if path.is_dir())
              for row in study.searchers}
    if missing := [row for row in copies if not copies[row]]:
        raise UserError(f"{indexes}: no index of {spot.corpus} by {', '.join(missing)}; run dvc repro")
    start = copies[study.report.base][0] / "docs.npy"
    base = _unit(_open(start, len(corpus.doc_ids)), corpus.sample) if start.exists() else None
    space, hygiene = {}, {}
    for row in study.searchers:
        figures = [_look(copy, ranked / row / spot.corpus / copy.name / f"{spot.split}.parquet",
                       models / row / copy.name, corpus, base, settings.neighbours) for copy in copies[row]]
        space[row], hygiene[row] = (_means(side) for side in zip(*figures))
    space, hygiene = ({row: found for row, found in side.items() if found} for side in (space, hygiene))
    trained = {row: space[row] for row in study.retrievers if study.trained_on(row) and row in space}
    changes = {entry["variant"]: entry["difference"] for entry in json.loads(results.read_text()) if "difference" in entry
               and (entry["corpus"], entry["split"], entry["measure"]) == (spot.corpus, spot.split, spot.measure)}
    sample = {**spot.model_dump(), **settings.model_dump(), "passages": len(corpus.sample), "norms": len(corpus.texts),
              "queries": len(corpus.relevant), "pairs": sum(map(len, corpus.relevant.values()))}
    with publish(out) as draft:
        draft.write_text(json.dumps({"sample": sample, "geometry": space, "hygiene": hygiene,
                                     "correlation": geometry.correlations(trained, changes)}, indent=1) + "\n")


def _look(index: Path, run: Path, model: Path, corpus: probe.Corpus, base: np.ndarray | None,
          k: int) -> tuple[dict, dict]:
    """One copy's figures of its space (none without vectors) and of its run (none without a run of this split)."""
    dense = (index / "docs.npy").exists()
    if not run.is_file():
        if dense:
            raise UserError(f"{run}: there is no such file; run dvc repro")
        return {}, {}
    rankings = probe.rankings(run, corpus)
    hygiene = ties.figures([ranking[2:] for ranking in rankings], DEPTH, len(corpus.relevant))
    if not dense:
        return {}, hygiene
    docs = _open(index / "docs.npy", len(corpus.doc_ids))
    topics = _open(index / "topics" / f"{run.stem}.npy", len(corpus.queries))
    pairs = [(corpus.queries[query], passage) for query, found in corpus.relevant.items() for passage in found]
    asked, answers = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    space = geometry.figures(_unit(docs, corpus.sample), base, _unit(topics, asked), _unit(docs, answers), k)
    best, halves = [], []
    for query, rows, scores, relevant in rankings:
        asked, own = topics[corpus.queries[query]], docs[corpus.relevant[query]]
        if len(own) and not relevant.all():
            # Rounded as the run's own scores are, so that a copy of the relevant passage is no better and no worse.
            exact = (own.astype(np.float64) @ asked.astype(np.float64)).astype(np.float32)
            best.append((exact.max(), scores[~relevant][0]))
        near = ties.within_reach(scores, DEPTH)
        halves.append((ties.half(asked[None], docs[rows[:near]])[0], relevant[:near]))
    raw = raw_vectors.of_passages(encoding.load_encoder(model, corpus.tokens), corpus.texts)
    lengths = {f"norm_{name}": value for name, value in geometry.norms(raw).items()}
    return ({**space, **lengths, **geometry.gaps(*np.array(best).reshape(-1, 2).T)},
            {**hygiene, **ties.half_figures(halves, DEPTH, len(corpus.relevant))})


def _open(path: Path, rows: int) -> np.memmap:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run dvc repro")
    vectors = np.load(path, mmap_mode="r")
    if len(vectors) != rows:
        raise UserError(f"{path}: {len(vectors)} vectors for {rows} texts; encode the corpus again")
    return vectors


def _unit(vectors: np.memmap, rows: np.ndarray) -> np.ndarray:
    if not np.isfinite(vectors[rows]).all():
        raise UserError(f"{vectors.filename}: some vectors are not numbers; the training of this row diverged, "
                      f"lower its lr")
    return projection.unit(vectors[rows])


def _means(copies: tuple[dict, ...]) -> dict:
    """Each figure averaged over copies, 6 digits; None where a copy has none."""
    values = {name: [copy[name] for copy in copies] for name in copies[0]}
    return {name: None if None in some else round(float(np.mean(some)), 6) for name, some in values.items()}


if __name__ == "__main__":
    main()
