"""The stage evaluate on planted runs: values by hand, comparisons, families, pairs, and what it leaves alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from click.testing import Result as Run

from stages import evaluate
from stages.evaluation import comparison, per_query, results
from stages.evaluation.results import Pair, Result
from stages.params.report import Target
from stages.retrieval import candidates
from tests import plants
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN

QUERIES = {("in_domain", "test"): 80, ("in_domain", "dev"): 4, ("out_of_domain", "test"): 40}
RERANKED = 30
SEED_RUNS = {
    "bm25": ["pretrained"],
    "base": ["pretrained"],
    "full-hard": ["seed-13", "seed-14"],
    "lora-hard": ["seed-13", "seed-14"],
    "cross": ["seed-13"],
}


def rank(variant: str, seed_run: str, query: int) -> int:
    """The planted rank of a query's passage; 0 where the run does not have it.

    full-hard puts every passage of the base one lower; lora-hard is the base but for one query, by one seed; the
    reranker has all first; BM25 lacks every fourth passage and every query that ends with 9.
    """
    base = 1 + query % 3
    if variant == "full-hard":
        return base + 1
    if variant == "lora-hard":
        return base + (query == 0 and seed_run == "seed-14")
    if variant == "bm25":
        return 0 if query % 4 == 0 else base
    return 1 if variant == "cross" else base


def write_run(folder: Path, variant: str, corpus: str, split: str, seed_run: str) -> None:
    count = QUERIES[corpus, split]
    asked = [f"q{at}" for at in range(count) if variant != "bm25" or at % 10 != 9]
    if variant == "cross":
        asked = candidates.sample([f"q{at}" for at in range(count)], RERANKED, 13)
    path = folder / "runs" / variant / corpus / seed_run / f"{split}.parquet"
    plants.write_run(path, {int(query[1:]): rank(variant, seed_run, int(query[1:])) for query in asked})


@dataclass(frozen=True)
class Evaluated:
    """What the stage writes."""

    table: pa.Table
    results: list[Result]
    pairs: list[Pair]
    metrics: dict[str, dict[str, float]]

    def at(self, target: Target) -> dict[str, Result]:
        return results.at(self.results, target)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    known = plants.blocks()
    reranker = {"checkpoint": "cross", "tuning": "cross-adamw", "triplets": "uniform", "recipe": "pointwise"}
    plants.write_params(
        tmp_path,
        seeds=[13, 14],
        interpolations={},
        fusions={},
        retrievers={"bm25": known["retrievers"]["bm25"], **plants.VARIANTS},
        rerankers={"cross": {**reranker, "first_stage": "full-hard"}},
        rerank={**known["rerank"], "queries": RERANKED, "seed": 13},
        report={**known["report"], "resamples": 1000, "pairs": [["lora-hard", "full-hard"]]},
        measures=["RR@10", "R@100"],
    )
    for (corpus, split), count in QUERIES.items():
        plants.write_corpus(tmp_path / "corpora" / corpus, 100, count, split)
        for variant, seed_runs in SEED_RUNS.items():
            for seed_run in seed_runs:
                write_run(tmp_path, variant, corpus, split, seed_run)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run() -> Run:
    outs = {"queries": "parquet", "results": "json", "pairs": "json", "metrics": "json"}
    words = ["--runs=runs", "--corpora=corpora", *(f"--{name}=out/{name}.{kind}" for name, kind in outs.items())]
    return CliRunner().invoke(evaluate.main, words)


def evaluated() -> Evaluated:
    done = run()
    assert done.exit_code == 0, done.output
    table, out = per_query.read(Path("out/queries.parquet")), Path("out")
    metrics = json.loads((out / "metrics.json").read_text())
    return Evaluated(table, results.read(out / "results.json"), results.read_pairs(out / "pairs.json"), metrics)


def test_the_table_has_every_judged_query_of_every_run_with_its_rank(folder):
    table = evaluated().table
    assert table.column_names == [*per_query.KEYS, "cluster", "rank", "RR@10", "R@100"]
    counted = dict.fromkeys(SEED_RUNS, 0)
    for row in table.to_pylist():
        number = int(row["query_id"][1:])
        counted[row["variant"]] += 1
        expected = rank(row["variant"], row["seed_run"], number)
        if row["variant"] == "bm25" and number % 10 == 9:
            expected = 0
        assert row["rank"] == expected and row["cluster"] == f"c{number // 2}", row
        assert row["RR@10"] == (1 / expected if expected else 0) and row["R@100"] == float(expected > 0)
    every = sum(QUERIES.values())
    assert counted == {"bm25": every, "base": every, "full-hard": 2 * every, "lora-hard": 2 * every, "cross": 64}


def test_values_are_means_over_seed_runs_and_the_base_has_no_comparison(folder):
    at = evaluated().at(IN_DOMAIN)
    assert list(at) == ["bm25", "base", "full-hard", "lora-hard", "cross"]
    base = np.mean([1 / (1 + query % 3) for query in range(80)])
    assert at["base"].value == pytest.approx(base, abs=1e-6)
    assert at["base"].comparison is at["base"].base is at["base"].spread is None and not at["base"].on_part
    lora = at["lora-hard"]
    by_seed_run = {"seed-13": base, "seed-14": base - 0.5 / 80}
    assert lora.by_seed_run == pytest.approx(by_seed_run, abs=1e-6)
    assert lora.value == pytest.approx(base - 0.25 / 80, abs=1e-6)
    assert lora.spread == pytest.approx(stdev(by_seed_run.values()), abs=1e-6)
    assert lora.base == pytest.approx(base, abs=1e-6) and lora.of == 80
    assert lora.change() == pytest.approx(100 * (-0.25 / 80) / base, abs=1e-3)


def test_comparisons_are_those_of_the_per_query_table(folder):
    found = evaluated()
    for variant in ("bm25", "full-hard", "lora-hard"):
        sides = per_query.common(*(per_query.of(found.table, name, OUT_OF_DOMAIN) for name in (variant, "base")))
        compared = per_query.compare(*sides, 0.05, 1000)
        one = found.at(OUT_OF_DOMAIN)[variant].comparison
        assert (one.difference, one.low, one.high) == pytest.approx(
            (compared.difference, compared.low, compared.high), abs=1e-6
        )
        assert (one.better, one.worse, one.equal) == (compared.better, compared.worse, compared.equal)
        assert (one.queries, one.clusters, one.seed_runs) == (40, 20, len(SEED_RUNS[variant]))


def test_the_variants_of_a_target_are_one_family_and_only_targets_have_verdicts(folder):
    found = evaluated()
    for target in (IN_DOMAIN, OUT_OF_DOMAIN):
        family = [entry.comparison for entry in found.at(target).values() if entry.comparison]
        assert [one.p_family for one in family] == pytest.approx(comparison.holm([one.p for one in family]), abs=1e-6)
        verdicts = {name: entry.comparison.verdict for name, entry in found.at(target).items() if entry.comparison}
        assert (verdicts["full-hard"], verdicts["cross"]) == ("worse", "better")
    others = [entry for entry in found.results if entry.target not in (IN_DOMAIN, OUT_OF_DOMAIN) and entry.comparison]
    assert {entry.split for entry in others} == {"dev", "test"}
    assert {(entry.comparison.verdict, entry.comparison.p_family) for entry in others} == {(None, None)}


def test_a_reranker_is_compared_on_the_queries_that_it_was_given(folder):
    found = evaluated()
    cross = found.at(IN_DOMAIN)["cross"]
    sample = [int(query[1:]) for query in candidates.sample([f"q{at}" for at in range(80)], RERANKED, 13)]
    assert (cross.comparison.queries, cross.of, cross.on_part) == (30, 80, True)
    assert cross.value == 1 and cross.base == pytest.approx(np.mean([1 / (1 + at % 3) for at in sample]), abs=1e-6)


def test_pairs_are_those_named_and_each_reranker_with_its_first_stage(folder):
    found = evaluated()
    named = [("lora-hard", "full-hard"), ("cross", "full-hard")]
    assert [(pair.variant, pair.against, pair.target) for pair in found.pairs] == [
        (*names, target) for target in (IN_DOMAIN, OUT_OF_DOMAIN) for names in named
    ]
    lora, cross = found.pairs[:2]
    assert lora.value == found.at(IN_DOMAIN)["lora-hard"].value and lora.base == found.at(IN_DOMAIN)["full-hard"].value
    assert lora.comparison.difference == pytest.approx(lora.value - lora.base, abs=2e-6)
    assert cross.value == 1 and cross.comparison.queries == 30 and cross.comparison.verdict == "better"
    corrected = comparison.holm([lora.comparison.p, cross.comparison.p])
    assert [lora.comparison.p_family, cross.comparison.p_family] == pytest.approx(corrected, abs=1e-6)


def test_metrics_are_four_figures_a_variant(folder):
    found = evaluated()
    full, cross = found.metrics["full-hard"], found.metrics["cross"]
    assert list(full) == ["RR@10", "vs base %", "out_of_domain test RR@10", "out_of_domain test vs base %"]
    assert full["vs base %"] == round(found.at(IN_DOMAIN)["full-hard"].change(), 2)
    assert cross["RR@10 of 30"] == 1 and "RR@10" not in cross
    assert found.metrics["base"]["vs base %"] == 0


def test_what_params_yaml_does_not_name_is_neither_read_nor_deleted(folder):
    first = evaluated()
    for path in ("runs/stray/in_domain/seed-13", "runs/base/elsewhere/pretrained", "corpora/elsewhere"):
        (folder / path).mkdir(parents=True)
        (folder / path / "test.parquet").write_text("no run")
    before = sorted(
        (path, path.stat().st_mtime_ns) for top in ("runs", "corpora") for path in (folder / top).rglob("*")
    )
    assert evaluated() == first
    after = sorted((path, path.stat().st_mtime_ns) for top in ("runs", "corpora") for path in (folder / top).rglob("*"))
    assert after == before


def test_equal_runs_give_equal_bytes(folder):
    evaluated()
    first = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    evaluated()
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == first


def test_a_base_without_a_run_is_one_line(folder):
    (folder / "runs/base/in_domain").rename(folder / "elsewhere")
    done = run()
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1
    assert "report.base: there is no run of 'base' on in_domain test in runs" in done.output
    assert not Path("out").exists()


def test_a_corpus_where_the_base_was_not_run_has_values_without_comparisons(folder):
    (folder / "runs/base/out_of_domain").rename(folder / "elsewhere")
    at = evaluated().at(OUT_OF_DOMAIN)
    assert "base" not in at and at["full-hard"].value > 0 and at["full-hard"].comparison is None
