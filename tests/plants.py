"""What several tests plant: a study's params file, results, per-query tables with known effects, a git repository."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from stages.evaluation.comparison import Comparison
from stages.evaluation.results import Pair, Result
from stages.params.report import Target, ValidationCurve
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe
from stages.training.seed_runs import SeedRun
from tests.conftest import ROOT, run

IN_DOMAIN = Target(corpus="in_domain", split="test", measure="RR@10")
OUT_OF_DOMAIN = Target(corpus="out_of_domain", split="test", measure="RR@10")
QUERIES = 600
VARIANTS = {
    "base": {"checkpoint": "minilm", "tuning": "none", "triplets": "none", "recipe": "none"},
    "full-hard": {"checkpoint": "minilm", "tuning": "full", "triplets": "hard", "recipe": "printed"},
    "lora-hard": {"checkpoint": "minilm", "tuning": "lora", "triplets": "hard", "recipe": "printed"},
}
Table = dict[str, list[Any]]


def blocks() -> dict[str, Any]:
    """The blocks of tests/study.yaml, to be changed at will."""
    return YAML(typ="safe").load((ROOT / "tests/study.yaml").read_text())


def write_params(folder: Path, **changed: Any) -> None:
    """params.yaml in a folder: tests/study.yaml with these blocks in place of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "params.yaml", "w") as handle:
        YAML().dump({**blocks(), **changed}, handle)


def comparison(difference: float = 0.0, **changed: Any) -> Comparison:
    """A comparison over 1,200 queries and one seed run, an interval of 0.02 around the difference."""
    figures = {
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "p": 0.5,
        "detectable": 0.02,
        "better": 10,
        "worse": 20,
        "equal": 1170,
        "queries": 1200,
        "clusters": 300,
        "seed_runs": 1,
        "p_family": 1.0,
        "verdict": "cannot tell",
    }
    return Comparison(**{**figures, **changed})


def result(variant: str, compared: Comparison | None = None, target: Target = IN_DOMAIN, **changed: Any) -> Result:
    """A variant's result beside a base of 0.5; without a comparison it is the base itself."""
    value = 0.5 + (compared.difference if compared else 0.0)
    seed_run = "seed-13" if compared else "pretrained"
    known = {"base": 0.5, "of": compared.queries} if compared else {}
    figures = {"value": value, "spread": None, "by_seed_run": {seed_run: value}, **known, **changed}
    return Result(variant, target.corpus, target.split, target.measure, comparison=compared, **figures)


def pair(variant: str, against: str, compared: Comparison, target: Target = IN_DOMAIN) -> Pair:
    """Two variants, the second of value 0.5."""
    where = target.model_dump()
    return Pair(variant, against, **where, value=0.5 + compared.difference, base=0.5, comparison=compared)


def per_query(
    variants: Iterable[str] = VARIANTS, queries: int = QUERIES, seed_runs: Iterable[str] = ("seed-13",)
) -> Table:
    """Ranks 1 to 5 in turn, the same for every variant and seed run; two queries a cluster."""
    lines = [(variant, seed_run, at) for variant in variants for seed_run in seed_runs for at in range(queries)]
    ranks = [1 + at % 5 for _, _, at in lines]
    return {
        "variant": [variant for variant, _, _ in lines],
        "seed_run": [seed_run for _, seed_run, _ in lines],
        "corpus": ["in_domain"] * len(lines),
        "split": ["test"] * len(lines),
        "query_id": [f"q{at}" for _, _, at in lines],
        "cluster": [f"c{at // 2}" for _, _, at in lines],
        "rank": ranks,
        "RR@10": [1 / rank for rank in ranks],
    }


def worsened(table: Table, variant: str, share: float, rank: int) -> Table:
    """The same table with the first relevant passage at `rank` in the first `share` of the variant's queries."""
    queries = len(set(table["query_id"]))
    names = zip(table["variant"], table["query_id"], strict=True)
    hit = [name == variant and int(query[1:]) < share * queries for name, query in names]
    ranks = [rank if moved else old for moved, old in zip(hit, table["rank"], strict=True)]
    return {**table, "rank": ranks, "RR@10": [1 / rank for rank in ranks]}


def write_table(path: Path, table: Table) -> None:
    """A per-query table as evaluation writes it, with dictionary-encoded names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = ("variant", "seed_run", "row", "copy", "cluster")
    columns = {name: pa.array(values) for name, values in table.items()}
    columns = {name: values.dictionary_encode() if name in encoded else values for name, values in columns.items()}
    pq.write_table(pa.table(columns), path)


def write_state(folder: Path, table: Table, variants: dict[str, Any] = VARIANTS) -> None:
    """params.yaml with these variants and BM25, and reports/queries.parquet, in a folder; nothing is committed."""
    known = blocks()
    report = {**known["report"], "resamples": 1000, "pairs": []}
    write_params(
        folder,
        interpolations={},
        rerankers={},
        retrievers={"bm25": known["retrievers"]["bm25"], **variants},
        report=report,
        gate={"tolerance": 1.0},
    )
    write_table(folder / "reports/queries.parquet", table)


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A git repository: one commit without values (tag empty), then one with three variants that are alike."""
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path)
    run("git commit -qm empty --allow-empty && git tag empty", tmp_path)
    write_state(tmp_path, per_query())
    run("git add -A && git commit -qm values", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seed_run(
    checkpoint: Path, tuning: dict[str, Any], recipe: dict[str, Any], triplets: Path, **changed: Any
) -> SeedRun:
    """A seed run of seed 3 with these blocks; of the recipe what is not said is short training without warm-up."""
    short = {"batch": 4, "epochs": 3, "warmup": 0, "weight_decay": 0, "clip": 1.0}
    tuned: FineTuning = TypeAdapter(FineTuning).validate_python(tuning)
    curve = ValidationCurve(queries=1, passages=1, every=2, early=[])
    known = {"variant": "x", "seed": 3, "checkpoint": checkpoint, "triplets": triplets, "curve": curve}
    return SeedRun(**{**known, "tuning": tuned, "recipe": Recipe(**{**short, **recipe}), **changed})
