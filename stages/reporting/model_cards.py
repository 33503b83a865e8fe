"""The model card that is published with one seed run of a trained variant: metadata, figures, recipe, hashes."""

import json
from collections.abc import Sequence
from typing import Any

from stages.core.errors import UserError
from stages.evaluation.results import Result
from stages.models.local_settings import Reading
from stages.params import Study
from stages.params.models import RERANKING
from stages.params.report import Report
from stages.params.tuning import ADAPTERS
from stages.reporting import changes, markdown, model_usage
from stages.reporting.model_record import ModelRecord
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import code
from stages.reporting.training_logs import VALIDATED, SeedRun, TrainingLog

# Weights that are known by their sha256, whichever way they came: name on the hub, licence.
KNOWN = {
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": (
        "sentence-transformers/all-MiniLM-L6-v2",
        "Apache-2.0",
    )
}
COSINE = "vectors have unit length, so that the inner product is the cosine"
DOT = "vectors are compared by their inner product, whatever their length"


def card(
    study: Study,
    seed_run: str,
    record: ModelRecord,
    results: Sequence[Result],
    log: TrainingLog,
    references: str,
    reading: Reading | None = None,
) -> str:
    """A README.md for the hub, of seed run seed-<n> of a trained variant; references are BibTeX.

    `reading` is how the model reads texts, where `diagnose` has recorded it.

    Raises UserError where the results or the training log do not have the seed run.
    """
    variant = record.variant
    own = [
        result
        for result in results
        if result.variant == variant and result.corpus in study.corpora and result.measure in study.measures
    ]
    if not own or any(seed_run not in result.by_seed_run for result in own):
        raise UserError(f"reports/results.json: has no figures of {seed_run} of '{variant}'; run dvc repro")
    trained = next((run for run in log.seed_runs if f"seed-{run.seed}" == seed_run), None)
    if trained is None:
        raise UserError(f"reports/training/{variant}.json: does not have {seed_run}; run dvc repro")
    parts = [
        f"---\n{_metadata(seed_run, record, own)}\n---\n# {variant}, {seed_run.replace('-', ' ')}\n",
        _opening(record, reading, own, study.report),
        _loading(trained, record, reading),
        _results(seed_run, own, study.report),
        _untested(reading, record, own),
        _training(trained, record),
        _made_again(record),
        _licence(record),
        f"## Citation\n\nThe papers that the study starts from:\n\n```bibtex\n{references.strip()}\n```\n",
    ]
    return "\n".join(parts)


def _base_model(record: ModelRecord) -> str | None:
    """The name on the hub of what was trained, where it is known."""
    kind, _, rest = record.checkpoint.source.partition(":")
    known, _ = KNOWN.get(record.checkpoint.sha256 or "", (None, None))
    return known or (rest.rpartition("@")[0] if kind == "hub" else None)


def _unit(record: ModelRecord) -> str:
    return "pairs" if record.recipe.loss.kind in ("contrastive", "pointwise") else "triplets"


def _metadata(seed_run: str, record: ModelRecord, own: Sequence[Result]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    figures = [
        EvalResult(
            task_type="information-retrieval",
            task_name="Information Retrieval",
            dataset_type=result.corpus,
            dataset_name=f"{result.corpus}, {result.split} split",
            dataset_split=result.split,
            metric_type=result.measure,
            metric_name=result.measure,
            metric_value=result.by_seed_run[seed_run],
        )
        for result in own
    ]
    base, reranks = _base_model(record), record.checkpoint.architecture in RERANKING
    related: dict[str, Any] = {"base_model": base, "base_model_relation": "finetune"} if base else {}
    tags = ["sentence-transformers", *([] if reranks else ["feature-extraction"]), "information-retrieval"]
    return ModelCardData(
        model_name=f"{record.variant}-{seed_run}",
        library_name="sentence-transformers",
        pipeline_tag="text-ranking" if reranks else "sentence-similarity",
        tags=[*tags, record.tuning.kind, f"{record.recipe.loss.kind}-loss"],
        eval_results=figures,
        **related,
    ).to_yaml()


def _opening(record: ModelRecord, reading: Reading | None, own: Sequence[Result], report: Report) -> str:
    checkpoint = record.checkpoint
    cut, compared = _lengths(record, reading), DOT if reading and reading.similarity == "dot" else COSINE
    does = {
        "cross-encoder": f"It reads query and passage together, cut at {_tokens(record, reading)[1]}",
        "late-interaction": f"Each token of a text has a vector of unit length. {cut}",
        "asymmetric": f"Queries and passages have an encoder each. {cut}; {compared}",
    }.get(checkpoint.architecture, f"{cut}; {compared}")
    kind = "reranker" if record.first_stage else "retriever"
    reranked = (
        f" Its figures are those of reranking the first {record.depth} passages that `{record.first_stage}` retrieves."
        if record.first_stage
        else ""
    )
    verdicts = [
        f"- {result.measure} of {result.corpus} {result.split} against `{report.base}`: "
        f"**{result.comparison.verdict}**, a change of {changes.size(result)} "
        f"({100 * (1 - report.significance):g} % interval {changes.ends(result)})."
        for result in own
        if result.comparison and result.comparison.verdict
    ]
    trained = f"trained on {_unit(record)} of the collection {_corpora(record)}"
    return (
        f"A {kind}: `{_base_model(record) or checkpoint.source}` {trained}. {does}.{reranked}\n\n"
        + "\n".join(verdicts)
        + "\n"
    )


def _tokens(record: ModelRecord, reading: Reading | None) -> tuple[str, str]:
    """At how many tokens queries are cut, and passages, in words: as recorded, else as params.yaml said."""
    said = record.checkpoint
    query = (reading and reading.query_tokens) or said.query_tokens or said.tokens
    passage = (reading and reading.passage_tokens) or said.passage_tokens or said.tokens
    asked, answered = (f"{tokens:,} tokens" if tokens else "the model's own limit" for tokens in (query, passage))
    return asked, answered


def _lengths(record: ModelRecord, reading: Reading | None) -> str:
    query, passage = _tokens(record, reading)
    return f"Texts are cut at {query}" if query == passage else f"Queries are cut at {query}, passages at {passage}"


def _loading(trained: SeedRun, record: ModelRecord, reading: Reading | None) -> str:
    adapter = ""
    if trained.unmerged:
        adapter = (
            " The adapter is unmerged: its layers, in `adapter/`, are put on the base's weights when the model is "
            "loaded, for which peft has to be installed."
        )
    elif record.tuning.kind in ADAPTERS:
        adapter = " The adapter is merged into the weights; it is also kept next to them, in `adapter/`."
    checkpoint = record.checkpoint
    folder = f"data/models/{record.variant}/seed-{trained.seed}"
    snippet = model_usage.snippet(checkpoint.architecture, folder, checkpoint.remote_code)
    return f"""## How to load it

```python
{snippet}```

{model_usage.words(checkpoint.architecture, reading)}{adapter}
"""


def _results(seed_run: str, own: Sequence[Result], report: Report) -> str:
    several = any(len(result.by_seed_run) > 1 for result in own)
    mean = ["mean ± standard deviation over seeds"] if several else []
    heads: list[Cell] = ["collection", "measure", "value", *mean, code(report.base), "change, % (interval)", "verdict"]
    lines: list[list[Cell]] = []
    for result in own:
        spread = "" if result.spread is None else f" ± {result.spread:.4f}"
        base = NOTHING if result.base is None else f"{result.base:.4f}"
        values = [f"{result.by_seed_run[seed_run]:.4f}", *([f"{result.value:.4f}{spread}"] if several else [])]
        verdict = (result.comparison.verdict if result.comparison else None) or ""
        where = f"{result.corpus} {result.split}"
        lines.append([where, result.measure, *values, base, changes.with_interval(result), verdict])
    judged = "They are of all seeds." if several else "With one seed they judge this model, not the recipe."
    sizes = {f"{result.corpus} {result.split}": result.comparison.queries for result in own if result.comparison}
    queries = ", ".join(f"{where} {count:,}" for where, count in sizes.items())
    over = f"clusters of queries{' and seeds' if several else ''}"
    level = f"{100 * (1 - report.significance):g} %"
    note = (
        f"Queries: {queries}. Changes are in per cent of `{report.base}`, with {level} intervals over {over}. {judged} "
        "Verdicts are corrected (Holm) over all variants of the study. The intervals are not: of so many, some may "
        "exclude 0 by chance."
    )
    return f"## Results\n\n{markdown.table(Table(heads, lines))}\n{note}\n"


def _corpora(record: ModelRecord) -> str:
    return " and ".join(f"`{corpus}`" for corpus in record.corpora)


def _untested(reading: Reading | None, record: ModelRecord, own: Sequence[Result]) -> str:
    splits = dict.fromkeys(f"{result.corpus} {result.split}" for result in own)
    others = dict.fromkeys(result.corpus for result in own if result.corpus not in record.corpora)
    beyond = f"was measured on {', '.join(others)} only" if others else "was not measured"
    lines = [
        f"Any collection but these: {', '.join(splits)}.",
        f"Other domains than that of {_corpora(record)}, which it was trained on: out of domain it {beyond}.",
        f"Texts beyond {_tokens(record, reading)[1]}, which are cut, and languages that the collections lack.",
        "Tasks other than ranking passages for a query by exact search: similarity, clustering, classification, "
        "approximate search, quantised weights.",
        f"Other seeds than {', '.join(map(str, record.seeds))}.",
    ]
    return "## What it was not tested on\n\n" + "".join(f"- {line}\n" for line in lines)


def _training(trained: SeedRun, record: ModelRecord) -> str:
    losses = list(trained.by_step("loss").values())
    curve = list(trained.by_step(VALIDATED).values())
    share = 100 * trained.trainable / trained.total
    batch = f"{trained.mean_batch:.1f}" if trained.left_out else f"{record.recipe.batch}"
    facts = [
        ["training steps", f"{trained.steps:,} of {batch} {_unit(record)}"],
        ["weights trained", f"{trained.trainable:,} of {trained.total:,} ({share:.3f} %)"],
        ["tensors changed", f"{trained.changed} of {trained.tensors}"],
        ["loss of the first and the last batch", f"{losses[0]:.4f}, {losses[-1]:.4f}"],
    ]
    if curve:
        points = f"{curve[0]:.4f}, {max(curve):.4f}, {curve[-1]:.4f}"
        facts.append([f"{VALIDATED} on a small validation sample: before, best, after", points])
    optimizer = {"lion": "Lion"}.get(record.tuning.optimizer, "AdamW")
    blocks = json.dumps({"seed": trained.seed, **record.blocks}, indent=2)
    return (
        f"## How it was trained\n\n{markdown.table(Table(['fact', 'value'], facts))}\n{optimizer}, with a "
        f"{record.recipe.schedule} schedule after warm-up. The blocks of `params.yaml` that it was made with:\n\n"
        f"```json\n{blocks}\n```\n"
    )


def _made_again(record: ModelRecord) -> str:
    lines = [[code(path), code(md5)] for path, md5 in record.hashes.items()]
    return f"""## How to get it again

In the repository of the study, at the commit whose `dvc.lock` has these hashes: `dvc repro` makes it again, and
`dvc pull data/models/{record.variant}` fetches it where a remote has it.

{markdown.table(Table(["path", "md5 in dvc.lock"], lines))}"""


def _licence(record: ModelRecord) -> str:
    known = KNOWN.get(record.checkpoint.sha256 or "")
    base = f"; {known[0]} is under {known[1]}" if known else ""
    return (
        "## Licence\n\nThis card names no licence: whoever publishes the model chooses one. The licence of the base "
        f"model applies to what is made from it{base}. The texts that it was trained on belong to their owners.\n"
    )
