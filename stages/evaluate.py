"""Evaluate: every row's runs against the judgments, and against the base."""
import json
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import params
from stages.core import leftovers
from stages.evaluation import measures
from stages.evaluation import revisions
from stages.evaluation import significance
from stages.retrieval import candidates
from stages.retrieval import runs
from stages.core.errors import UserError
from stages.core.files import publish

folder = click.Path(exists=True, file_okay=False, path_type=Path)
output = click.Path(path_type=Path)


@click.command()
@click.option("--runs", "ranked", type=folder, required=True, help="runs of all rows")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--queries", type=output, required=True, help="per-query values, parquet")
@click.option("--results", type=output, required=True, help="means, changes and intervals, JSON")
@click.option("--pairs", type=output, required=True, help="rows that report.pairs compares with each other, JSON")
@click.option("--metrics", type=output, required=True, help="at most four figures a row, for dvc metrics")
def main(ranked: Path, corpora: Path, queries: Path, results: Path, pairs: Path, metrics: Path) -> None:
    """Measure every run with graded judgments and say by how much each row differs from the base.

    A row's value is the mean over its seeds; the change is judged query by query, with an interval over clusters of
    queries, and on the primary and the outside measure with a verdict; a reranker's on the queries that it was given.
    The per-query table holds all that later comparisons need: clusters, and the rank of the first relevant passage (0
    where the run has none). What params.yaml no longer names is removed.
    """
    study = params.load()
    for line in [*leftovers.remove(corpora, study.corpora), *leftovers.remove(ranked, study.variants, study.corpora)]:
        click.echo(line)
    table = _per_query(study, ranked, corpora)
    rows = _results(study, table)
    with publish(queries) as draft:
        pq.write_table(table, draft, compression="zstd", compression_level=19)
    with publish(results) as draft:
        draft.write_text(json.dumps(rows, indent=1) + "\n")
    with publish(pairs) as draft:
        draft.write_text(json.dumps(_pairs(study, revisions.plain(table), rows), indent=1) + "\n")
    with publish(metrics) as draft:
        draft.write_text(json.dumps(_metrics(study.report, study.variants, rows), indent=2) + "\n")


def _per_query(study, ranked: Path, corpora: Path) -> pa.Table:
    """All per-query values as one table: row, copy, corpus, split, query_id, cluster, rank, and the measures."""
    parts = []
    for corpus, collection in study.corpora.items():
        for split, rules in collection.judged.items():
            topics = pq.read_table(corpora / corpus / "topics" / f"{split}.parquet").to_pydict()
            clusters = dict(zip(topics["query_id"], topics["cluster"]))
            qrels = pq.read_table(corpora / corpus / "qrels" / f"{split}.parquet")
            sample = candidates.asked(topics["query_id"], study.rerank.queries, study.rerank.seed)
            few = qrels.filter(pc.is_in(qrels["query_id"], value_set=pa.array(sample)))
            for row in study.variants:
                for path in sorted((ranked / row / corpus).glob(f"*/{split}.parquet")):
                    judged = few if row in study.rerankers else qrels
                    found = measures.per_query(runs.read(path), judged, [*study.measures, "RR"], rules.rel)
                    ids = list(found[study.measures[0]])
                    same = {"variant": row, "seed_run": path.parent.name, "corpus": corpus, "split": split}
                    columns = {key: pa.array([value] * len(ids)).dictionary_encode() for key, value in same.items()}
                    values = {name: pa.array([found[name][i] for i in ids], pa.float64()) for name in study.measures}
                    places = {"cluster": pa.array([clusters[i] for i in ids]).dictionary_encode(),
                              "rank": pa.array([round(1 / found["RR"][i]) if found["RR"][i] else 0 for i in ids],
                                               pa.int32())}
                    parts.append(pa.table({**columns, "query_id": ids, **places, **values}))
    primary = study.report.in_domain
    if not any([part[key][0].as_py() for key in ("variant", "corpus", "split")] ==
               [study.report.base, primary.corpus, primary.split] for part in parts):
        raise UserError(f"report.base: there is no run of '{study.report.base}' on {primary.corpus} {primary.split} in "
                      f"{ranked}; name a row that was run there")
    return pa.concat_tables(parts).unify_dictionaries()


def _results(study, table: pa.Table) -> list[dict]:
    """One entry for each row, corpus, split and measure: mean over seeds, spread, and the change against the base."""
    frame = table.to_pandas()
    rows = []
    for (corpus, split), part in frame.groupby(["corpus", "split"], sort=False, observed=True):
        base = part[part["variant"] == study.report.base].set_index("query_id")
        for row in study.variants:
            copies = part[part["variant"] == row]
            if copies.empty:
                continue
            for measure in study.measures:
                by_seed = copies.groupby("seed_run", observed=True)[measure].mean()
                entry = {"variant": row, "corpus": corpus, "split": split, "measure": measure,
                         "value": _round(by_seed.mean()), "seeds": len(by_seed),
                         "spread": _round(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
                         "by_seed_run": {copy: _round(value) for copy, value in by_seed.items()}}
                if row != study.report.base and len(base):
                    values = copies.pivot(index="seed_run", columns="query_id", values=measure)
                    shared = base.loc[base.index.isin(values.columns)]
                    found = significance.change(values[shared.index].to_numpy(), shared[measure].to_numpy(),
                                             shared["cluster"].to_numpy(), study.report.significance, study.report.resamples)
                    entry |= {key: _round(value) for key, value in found.items()}
                    entry |= {"base": _round(shared[measure].mean()), "of": len(base)}
                rows.append(entry)
    for place in (study.report.in_domain, study.report.out_of_domain):
        _judge([entry for entry in rows if place and "p" in entry and (entry["corpus"], entry["split"], entry["measure"])
                == (place.corpus, place.split, place.measure)], study.report)
    return rows


def _pairs(study, table: pa.Table, results: list[dict]) -> list[dict]:
    """Each pair of report.pairs on the primary and the outside measure, on the queries that both rows have.

    So is each reranker and the row that it follows, unless that is the base, which every row is compared with.
    """
    report, found = study.report, []
    followed = [(row, names.first_stage) for row, names in study.rerankers.items() if names.first_stage != report.base]
    named = [*report.pairs, *(pair for pair in followed if {*pair} not in [{*other} for other in report.pairs])]
    for place in [place for place in (report.in_domain, report.out_of_domain) if place]:
        known = {entry["variant"] for entry in results if (entry["corpus"], entry["split"]) == (place.corpus, place.split)}
        for row, against in [pair for pair in named if set(pair) <= known]:
            both = (revisions.per_query(table, name, place) for name in (row, against))
            one, other, clusters = revisions.common(*both)
            change = revisions.change(one, other, clusters, report.significance, report.resamples)
            found.append({"variant": row, "against": against, **place.model_dump(), "value": _round(one.values.mean()),
                          "base": _round(other.values.mean()), **{key: _round(value) for key, value in change.items()}})
    for place in {(entry["corpus"], entry["split"]): None for entry in found}:
        _judge([entry for entry in found if (entry["corpus"], entry["split"]) == place], report)
    return found


def _judge(family: list[dict], report) -> None:
    """Give each entry of one family its corrected p and its verdict."""
    for entry, p in zip(family, significance.holm([entry["p"] for entry in family])):
        entry["p_family"] = _round(p)
        entry["verdict"] = significance.verdict(entry, p, report.significance, report.margin / 100 * entry["base"])


def _metrics(report, rows: dict, results: list[dict]) -> dict:
    """{row: {measure, change against base in per cent}} on the primary split and on the one outside."""
    found: dict[str, dict[str, float]] = {row: {} for row in rows}
    for place in (report.in_domain, report.out_of_domain):
        prefix = "" if place == report.in_domain or not place else f"{place.corpus} {place.split} "
        for entry in results:
            if place and (entry["corpus"], entry["split"], entry["measure"]) == (
                    place.corpus, place.split, place.measure):
                figures = found[entry["variant"]]
                part = f" of {entry['queries']}" if entry.get("of", 0) > entry.get("queries", 0) else ""
                figures[f"{prefix}{place.measure}{part}"] = round(entry["value"], 4)
                figures[f"{prefix}vs base %"] = round(significance.per_cent(entry, entry.get("difference", 0)), 2)
    return {row: figures for row, figures in found.items() if figures}


def _round(value):
    return round(float(value), 6) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
