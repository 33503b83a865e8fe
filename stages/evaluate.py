"""Evaluate: every variant's runs against the judgments, and every variant against the base."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import params
from stages.collections import canonical
from stages.core.errors import UserError
from stages.core.files import publish
from stages.core.rounding import rounded
from stages.evaluation import comparison, growth, hybrids, measures, other_bases, per_query
from stages.evaluation import results as files
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.params.report import Report, Target
from stages.retrieval import candidates, runs

folder = click.Path(exists=True, file_okay=False, path_type=Path)
output = click.Path(path_type=Path)
Compared = TypeVar("Compared", Result, Pair)


@click.command()
@click.option("--runs", "ranked", type=folder, required=True, help="the runs of all variants")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--queries", type=output, required=True, help="per-query values, parquet")
@click.option("--results", type=output, required=True, help="means and comparisons with the base, JSON")
@click.option("--pairs", type=output, required=True, help="the comparisons that report.pairs asks for, JSON")
@click.option("--metrics", type=output, required=True, help="at most four figures a variant, for dvc metrics")
def main(ranked: Path, corpora: Path, queries: Path, results: Path, pairs: Path, metrics: Path) -> None:
    """Measure every run with graded judgments, and compare every variant with the base.

    A variant's value is the mean over its seed runs. It is compared query by query, with an interval over clusters of
    queries; on the targets in and out of domain the comparison has a verdict. A reranker is compared on the queries
    that it was given. The per-query table holds all that later comparisons need: clusters, and the rank of the first
    relevant passage (0 where the run has none). Folders of runs that params.yaml does not name are not read.
    """
    study = params.load()
    encoded = measured(study, ranked, corpora)
    table = per_query.plain(encoded)
    lacking = {
        (corpus, split): unanswerable(corpora / corpus, split, rules.rel)
        for corpus, collection in study.corpora.items()
        for split, rules in collection.judged.items()
    }
    compared = [replace(one, unanswerable=lacking[one.corpus, one.split]) for one in against_base(study, table)]
    with publish(queries) as draft:
        pq.write_table(encoded, draft, compression="zstd", compression_level=19)
    with publish(results) as draft:
        draft.write_text(files.as_json(compared))
    with publish(pairs) as draft:
        draft.write_text(files.as_json(in_pairs(study, table, compared)))
    with publish(metrics) as draft:
        draft.write_text(json.dumps(_metrics(study.report, study.variants, compared), indent=2) + "\n")


def measured(study: Study, ranked: Path, corpora: Path) -> pa.Table:
    """The per-query table (see per_query) of all runs of the study's variants, with dictionary-encoded names.

    Raises UserError where the base has no run on the target in domain.
    """
    parts = []
    for corpus, collection in study.corpora.items():
        for split, rules in collection.judged.items():
            topics = canonical.topics(corpora / corpus, split).to_pydict()
            clusters = dict(zip(topics["query_id"], topics["cluster"], strict=True))
            qrels = canonical.qrels(corpora / corpus, split)
            sample = candidates.sample(topics["query_id"], study.rerank.queries, study.rerank.seed)
            reranked = qrels.filter(pc.is_in(qrels["query_id"], value_set=pa.array(sample)))
            for variant in study.variants:
                judged = reranked if variant in study.rerankers else qrels
                for path in sorted((ranked / variant / corpus).glob(f"*/{split}.parquet")):
                    values = measures.per_query(runs.read(path), judged, [*study.measures, "RR"], rules.rel)
                    names = {"variant": variant, "seed_run": path.parent.name, "corpus": corpus, "split": split}
                    parts.append(_part(names, values, clusters))
    target = study.report.in_domain
    base = {"variant": study.report.base, "corpus": target.corpus, "split": target.split}
    if not any(len(part) and all(part[key][0].as_py() == value for key, value in base.items()) for part in parts):
        raise UserError(
            f"report.base: there is no run of '{study.report.base}' on {target.corpus} {target.split} in {ranked}; "
            "name a variant that was run there"
        )
    return pa.concat_tables(parts).unify_dictionaries()


def unanswerable(collection: Path, split: str, rel: int) -> int:
    """How many judged queries of a split have no passage of grade `rel` or above."""
    qrels = canonical.qrels(collection, split)
    answered = qrels.filter(pc.greater_equal(qrels["grade"], rel))
    return pc.count_distinct(qrels["query_id"]).as_py() - pc.count_distinct(answered["query_id"]).as_py()


def _part(names: dict[str, str], values: dict[str, dict[str, float]], clusters: dict[str, str]) -> pa.Table:
    """The rows of one run. values (measure -> query_id -> value) has RR last, without a cut-off: 1 / the rank."""
    *shown, last = values
    ids = list(values[last])
    ranks = [round(1 / value) if value else 0 for value in values[last].values()]
    return pa.table(
        {
            **{key: pa.array([name] * len(ids)).dictionary_encode() for key, name in names.items()},
            "query_id": ids,
            "cluster": pa.array([clusters[query] for query in ids]).dictionary_encode(),
            "rank": pa.array(ranks, pa.int32()),
            **{name: pa.array([values[name][query] for query in ids], pa.float64()) for name in shown},
        }
    )


def against_base(study: Study, table: pa.Table) -> list[Result]:
    """A result for each corpus, split, variant and measure; the verdicts on each target are one family."""
    results = []
    for corpus, collection in study.corpora.items():
        for split in collection.judged:
            part = per_query.on(table, corpus, split)
            there = set(pc.unique(part["variant"]).to_pylist())
            for variant in study.variants:
                own = part.filter(pc.is_in(part["variant"], value_set=pa.array([variant, study.report.base])))
                for measure in study.measures if variant in there else ():
                    target = Target(corpus=corpus, split=split, measure=measure)
                    results.append(_result(own, variant, target, study.report, study.report.base in there))
    for target in study.report.targets:
        results = _judged(results, target, study.report)
    return results


def _result(table: pa.Table, variant: str, target: Target, report: Report, with_base: bool) -> Result:
    """A variant's value on a target and, where the base was run there, its comparison with the base."""
    own = per_query.of(table, variant, target)
    means = own.values.mean(axis=1)
    result = Result(
        variant=variant,
        **target.model_dump(),
        value=rounded(means.mean()),
        spread=rounded(means.std(ddof=1)) if len(means) > 1 else None,
        by_seed_run={seed_run: rounded(mean) for seed_run, mean in zip(own.seed_runs, means, strict=True)},
    )
    if variant == report.base or not with_base:
        return result
    base = per_query.of(table, report.base, target)
    own, shared = per_query.common(own, base)
    # In the order of the judgments: p depends on which clusters' sums are exactly 0, and so on the order of addition.
    order = pc.unique(table.filter(pc.field("variant") == report.base)["query_id"]).to_pylist()
    at = {query: number for number, query in enumerate(shared.query_ids)}
    own, shared = (side.take(np.array([at[query] for query in order if query in at])) for side in (own, shared))
    compared = per_query.compare(own, shared, report.significance, report.resamples).rounded()
    return replace(result, base=rounded(shared.mean), of=len(base.query_ids), comparison=compared)


def in_pairs(study: Study, table: pa.Table, results: Sequence[Result]) -> list[Pair]:
    """Each pair of report.pairs on each target, on the queries that both variants have.

    So is each reranker and its first stage, unless that is the base, which every variant is compared with, each
    searched variant and the one whose setting it searched, of variants that differ in their share of the training pairs
    alone the two largest, and what tells whether to fine-tune, to fuse (hybrids) or to take another base (other_bases).
    The pairs of a target are one family.
    """
    report, pairs = study.report, []
    stages = [(name, block.first_stage) for name, block in study.rerankers.items() if block.first_stage != report.base]
    stages += [*((name, block.variant) for name, block in study.searches.items()), *growth.last_steps(study)]
    other, asked = other_bases.named(study, results), dict[frozenset[str], tuple[str, str]]()
    for pair in [*report.pairs, *stages, *hybrids.named(study, results).asked, *(other.asked if other else [])]:
        asked.setdefault(frozenset(pair), pair)
    for target in report.targets:
        known = set(pc.unique(per_query.on(table, target.corpus, target.split)["variant"]).to_pylist())
        for variant, against in [pair for pair in asked.values() if set(pair) <= known]:
            both = per_query.common(*(per_query.of(table, name, target) for name in (variant, against)))
            compared = per_query.compare(*both, report.significance, report.resamples).rounded()
            value, base = (rounded(side.mean) for side in both)
            pairs.append(Pair(variant, against, **target.model_dump(), value=value, base=base, comparison=compared))
        pairs = _judged(pairs, target, report)
    return pairs


def _judged(entries: Sequence[Compared], target: Target, report: Report) -> list[Compared]:
    """The entries, those on the target judged as one family."""
    family = [entry for entry in entries if entry.target == target and entry.comparison]
    margins = [report.margin / 100 * (entry.base or 0.0) for entry in family]
    compared = comparison.judge(
        [entry.comparison for entry in family if entry.comparison], report.significance, margins
    )
    judged = {id(entry): one.rounded() for entry, one in zip(family, compared, strict=True)}
    return [replace(entry, comparison=judged.get(id(entry), entry.comparison)) for entry in entries]


def _metrics(report: Report, variants: Iterable[str], results: list[Result]) -> dict[str, dict[str, float]]:
    """{variant: {measure, change against the base}} on the targets in and out of domain."""
    metrics: dict[str, dict[str, float]] = {}
    for variant in variants:
        for target in report.targets:
            result = files.at(results, target).get(variant)
            if result:
                prefix = "" if target == report.in_domain else f"{target.corpus} {target.split} "
                part = f" of {result.comparison.queries}" if result.comparison and result.on_part else ""
                figures = metrics.setdefault(variant, {})
                figures[f"{prefix}{target.measure}{part}"] = round(result.value, 4)
                figures |= {f"{prefix}{key}": value for key, value in _against(result, report.base).items()}
    return metrics


def _against(result: Result, base: str) -> dict[str, float]:
    """The change against the base in per cent, in the measure's unit where the base has 0; nothing without a base."""
    if result.comparison is None:
        return {"vs base %": 0.0} if result.variant == base else {}
    change = result.change()
    return {"vs base": round(result.comparison.difference, 4)} if change is None else {"vs base %": round(change, 2)}


if __name__ == "__main__":
    main()
