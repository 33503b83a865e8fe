"""The studies of searches: do the trials of a search rank settings as the whole collection does, and P1's and P3's
questions with a rate for each side.

`python -m studies.searching agreement` measures the sample that trials are scored on against dev. `python -m
studies.searching run full-lora` runs a study of studies/searches/ in a clone and goes on where it was stopped.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.analysis import vectors
from stages.collections import canonical
from stages.core.errors import UserError
from stages.core.files import publish
from stages.core.rounding import rounded
from stages.evaluation import results as files
from stages.negatives import search_sample, validation_sample
from stages.params.report import Target
from stages.reporting import markdown, results_tables, searches, style, training_logs
from stages.reporting.markdown import Block
from stages.reporting.text import Heading, code, link, text
from stages.retrieval import ranking
from stages.training.validation import mean_reciprocal_rank
from studies import clones

STUDIES = Path("studies/searches")
NAMES = ("full-lora", "lion-adamw")
REPORTS = Path("reports/searches")
AGREEMENT = Path("studies/search_agreement.json")
DATA = Path("data")
TOP, OTHERS = 50, 2000  # what a search takes where it does not say otherwise
THIN = (10, 100)
COUNTS = (25, 50, 100, 200)
DRAWS = 500
TITLES = {
    "full-lora": "Full fine-tuning and LoRA, each with a rate of its own",
    "lion-adamw": "Lion and AdamW, each with a rate of its own",
}


@click.group()
def main() -> None:
    """Searches with a budget: how far their trials can be trusted, and two fair comparisons."""


@main.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--jobs", type=click.IntRange(min=1), help="stages at once; as many as cores and memory allow")
def run(name: str, jobs: int | None) -> None:
    """Run the study NAME from the committed code and write reports/searches/NAME.md with its pictures."""
    work = Path(".scratch/searches") / name
    clones.run(name, work, (STUDIES / f"{name}.yaml").read_text(), ["evaluate"], jobs)
    study = params.load(STUDIES / f"{name}.yaml")
    kept = REPORTS / name
    with publish(kept) as draft:
        draft.mkdir(parents=True)
        for path in ("pairs.json", "results.json"):
            shutil.copy(work / "reports" / path, draft)
        for variant in study.variants:
            shutil.copy(work / f"reports/training/{variant}.json", draft)
    write(name)


@main.command()
@click.argument("name", type=click.Choice(NAMES))
def page(name: str) -> None:
    """Write reports/searches/NAME.md again from what is committed in reports/searches/NAME/."""
    write(name)


def write(name: str) -> None:
    """The page and the pictures of a study that was run."""
    study, kept = params.load(STUDIES / f"{name}.yaml"), REPORTS / name
    logs = training_logs.read(kept, study.variants)
    compared = files.read_pairs(kept / "pairs.json")
    with publish(REPORTS / f"{name}.md") as draft:
        draft.write_text(markdown.document(blocks(name, study, logs, compared)))
    for variant in study.searches:
        if search := logs[variant].search:
            with publish(REPORTS / f"figures/search-{variant}.png") as draft:
                style.save(searches.trials_picture(search), draft)


def blocks(
    name: str, study: params.Study, logs: Mapping[str, training_logs.TrainingLog], compared: Sequence[files.Pair]
) -> list[Block]:
    """The page of a study: the comparison, then each side's search."""
    seeds = ", ".join(map(str, study.seeds))
    return [
        Heading(TITLES[name], 1),
        text(
            "The study of ",
            link(f"studies/searches/{name}.yaml", f"../../studies/searches/{name}.yaml"),
            ", which ",
            code(f"python -m studies.searching run {name}"),
            f" runs. Each side has the same number of trials; the setting that ranked validation best was trained with "
            f"seeds {seeds} and judged on test.",
        ),
        *results_tables.pairs(study, compared, logs),
        *searches.blocks(study, logs, compared),
    ]


@main.command()
def agreement() -> None:
    """Measure how samples of passages rank the variants of params.yaml, against dev with the whole collection.

    Reads the vectors that a run of the study left in data/indexes; nothing is encoded. Writes
    studies/search_agreement.json.
    """
    study = params.load()
    corpus, choosing = study.report.in_domain.corpus, study.report.choosing
    if choosing is None or not study.corpora[corpus].validation:
        raise UserError("report.chosen_on: names no split, or the corpus has no validation queries; nothing to compare")
    names = [name for name in study.searchers if (DATA / f"indexes/{name}/{corpus}").is_dir()]
    if study.report.base not in names:
        raise UserError(f"{DATA}/indexes: has no vectors of {study.report.base}; run dvc repro or dvc pull first")
    folders = vectors.seed_runs(DATA / "indexes", names, corpus)
    indexes = {f"{name} {folder.name}": folder for name in names for folder in folders[name]}
    indexes = {name: folder for name, folder in indexes.items() if (folder / "docs.npy").exists()}
    base = folders[study.report.base][0]
    found = measured(study, DATA / "corpora" / corpus, choosing, indexes, base)
    with publish(AGREEMENT) as draft:
        draft.write_text(json.dumps(rounded(found), indent=1) + "\n")
    click.echo(json.dumps({name: found[name] for name in ("agreement", "queries")}, indent=1))


def measured(
    study: params.Study, corpus: Path, target: Target, indexes: Mapping[str, Path], base: Path
) -> dict[str, dict]:
    """{"values": sample -> model -> RR@10, "agreement": sample -> {"tau", "regret", ...}} against `target`.

    Samples are those of a search on validation and on the target's own queries, a thin one of these, the small one of
    the training curve, and validation with all passages. "queries" has the agreement of some of the target's queries
    with the others, all passages searched.
    """
    curve, split = study.validation_curve, target.split
    samples = {
        "search, validation queries": _sample(corpus, base, "validation", TOP, OTHERS),
        f"search, {split} queries": _sample(corpus, base, split, TOP, OTHERS),
        f"thin, {split} queries": _sample(corpus, base, split, *THIN),
        "training curve": _small(corpus, curve.queries, curve.passages),
        "all passages, validation queries": _sample(corpus, base, "validation", None, 0),
    }
    whole = _sample(corpus, base, split, None, 0)
    ranks = {name: _reciprocal_ranks(folder, corpus, *whole) for name, folder in indexes.items()}
    truth = {name: float(values.mean()) for name, values in ranks.items()}
    values = {
        label: {name: float(_reciprocal_ranks(folder, corpus, *sample).mean()) for name, folder in indexes.items()}
        for label, sample in samples.items()
    }
    sizes = {label: {"queries": len(sample[1]), "passages": len(sample[2])} for label, sample in samples.items()}
    agreed = {label: {**sizes[label], **_agreement(own, truth)} for label, own in values.items()}
    by_size = {str(count): _of_part(ranks, count) for count in COUNTS if 2 * count <= len(whole[1])}
    return {"values": {f"all passages, {split} queries": truth, **values}, "agreement": agreed, "queries": by_size}


Sampled = tuple[str, list[str], np.ndarray]  # split, ids of the queries, rows of the passages


def _sample(corpus: Path, base: Path, split: str, top: int | None, others: int) -> Sampled:
    """Queries of a split that have an answer, and a search's passages for them; all passages where `top` is None."""
    topics, qrels = validation_sample.answered(corpus, split)
    doc_ids = canonical.doc_ids(corpus)
    if top is None:
        return split, topics["query_id"].to_pylist(), np.arange(len(doc_ids))
    chosen = search_sample.passages(corpus, base, topics, qrels, split, top, others, 65536)
    return split, topics["query_id"].to_pylist(), np.asarray(_rows(doc_ids, chosen))


def _small(corpus: Path, queries: int, size: int) -> Sampled:
    """The sample of the training curve."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        validation_sample.write(corpus, queries, size, Path(folder) / "small")
        asked, passages = (pq.read_table(f"{folder}/small/{name}.parquet") for name in ("queries", "passages"))
    rows = _rows(canonical.doc_ids(corpus), passages["doc_id"].combine_chunks())
    return "validation", asked["query_id"].to_pylist(), np.asarray(rows)


def _rows(doc_ids: pa.Array, chosen: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.index_in(chosen, value_set=doc_ids)


def _reciprocal_ranks(index: Path, corpus: Path, split: str, queries: list[str], rows: np.ndarray) -> np.ndarray:
    """RR@10 of each query (queries,) by a model's vectors over some passages."""
    _, qrels = validation_sample.answered(corpus, split)
    doc_ids = canonical.doc_ids(corpus)
    rows = rows[np.argsort(ranking.places(doc_ids)[rows])]
    every = canonical.topics(corpus, split)["query_id"].to_pylist()
    asked = np.load(index / f"topics/{split}.npy")[[every.index(query) for query in queries]]
    scores = asked @ np.load(index / "docs.npy")[rows].T
    answers: dict[str, set[str]] = {query: set() for query in queries}
    for query, doc in zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist(), strict=True):
        if query in answers:
            answers[query].add(doc)
    ids = doc_ids.take(pa.array(rows)).to_pylist()
    relevant = np.array([[doc in answers[query] for doc in ids] for query in queries])
    every_query = zip(scores[:, None], relevant[:, None], strict=True)
    return np.array([mean_reciprocal_rank(own, right) for own, right in every_query])


def _of_part(ranks: Mapping[str, np.ndarray], count: int) -> dict[str, float]:
    """The mean agreement of `count` queries, drawn DRAWS times, with the queries that were not drawn."""
    rng, found = np.random.default_rng(0), []
    size = len(next(iter(ranks.values())))
    for _ in range(DRAWS):
        order = rng.permutation(size)
        part, rest = order[:count], order[count:]
        means = [{name: float(values[rows].mean()) for name, values in ranks.items()} for rows in (part, rest)]
        found.append(_agreement(*means))
    return {figure: float(np.mean([entry[figure] for entry in found])) for figure in ("tau", "regret")}


def _agreement(own: Mapping[str, float], truth: Mapping[str, float]) -> dict[str, float]:
    """Kendall's tau-b over models, and what the model that a sample ranks first lacks to the best on the truth."""
    from scipy import stats

    names = list(truth)
    first = max(names, key=lambda name: own[name])
    tau = stats.kendalltau([own[name] for name in names], [truth[name] for name in names]).statistic
    return {"models": len(names), "tau": float(tau), "regret": max(truth.values()) - truth[first]}


if __name__ == "__main__":
    main()
