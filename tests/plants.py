"""What several tests plant: a study's params file, results, per-query tables with known effects, a git repository."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from stages.analysis.vectors import unit
from stages.evaluation.comparison import Comparison
from stages.evaluation.results import Pair, Result
from stages.params.report import Target, ValidationCurve
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe
from stages.retrieval import runs
from stages.training import loop
from stages.training.seed_runs import SeedRun
from tests.conftest import ROOT, environment, run

IN_DOMAIN = Target(corpus="in_domain", split="test", measure="RR@10")
DEV = Target(corpus="in_domain", split="dev", measure="RR@10")
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
    """params.yaml in a folder: tests/study.yaml with these blocks in place of its own, each written out."""
    folder.mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    yaml.representer.ignore_aliases = lambda value: True
    with open(folder / "params.yaml", "w") as handle:
        yaml.dump({**blocks(), **changed}, handle)


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
    """A variant's result next to a base of 0.5; without a comparison it is the base itself."""
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
        fusions={},
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


def two_towers(body: Path, folder: Path) -> Path:
    """A copy of a retriever's folder as two towers."""
    from stages.models import asymmetric, model_folder

    shutil.copytree(body, folder)
    description = model_folder.Description("asymmetric", sha256="0" * 64, tokens=32)
    asymmetric.build(folder, description)
    model_folder.write(description, folder)
    return folder


TEXTS = {"queries": 40, "passages": 60}
WIDTH = 8


def write_corpus(folder: Path, passages: int, queries: int, split: str = "test") -> None:
    """A corpus in canonical format: query q<n> is answered by passage d<n>; two queries a cluster."""
    ids = {"doc_id": [f"d{at}" for at in range(passages)], "query_id": [f"q{at}" for at in range(queries)]}
    tables = {
        "docs": {"doc_id": ids["doc_id"], "text": [f"passage number {at}" for at in range(passages)]},
        f"topics/{split}": {
            "query_id": ids["query_id"],
            "text": [f"what is number {at}" for at in range(queries)],
            "cluster": [f"c{at // 2}" for at in range(queries)],
        },
        f"qrels/{split}": {"query_id": ids["query_id"], "doc_id": ids["doc_id"][:queries], "grade": [1] * queries},
    }
    for name, columns in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "docs.json").write_text(json.dumps({"documents": passages, "tokens": None}))


def write_run(path: Path, ranks: dict[int, int]) -> None:
    """A run of a corpus with 100 passages or more: for query q<n> passage d<n> at this rank, 0 for not at all."""
    lines = []
    for number, at in ranks.items():
        docs = [f"d{(number + 1 + step) % 100}" for step in range(5)]
        docs.insert(at - 1, f"d{number}") if at else None
        lines += [(f"q{number}", doc, 1 / step) for step, doc in enumerate(docs, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write([pa.table([list(column) for column in zip(*lines, strict=True)], schema=runs.RUN)], path)


def write_vectors(folder: Path) -> dict[str, np.ndarray]:
    """A study with its indexes of in_domain test: BM25, a published run, the base, and two trained variants.

    `turned` is the base with one plane turned by a quarter, `collapsed` has all vectors equal; `stray` is no variant of
    the study. Returns variant -> vectors (queries, then passages; WIDTH) of the base and of `turned`.
    """
    known = blocks()
    published = {"architecture": "published-run", "source": "trec:x.trec", "corpus": "in_domain", "split": "test"}
    as_it_is = {"tuning": "none", "triplets": "none", "recipe": "none"}
    trained = {"checkpoint": "minilm", "tuning": "full", "triplets": "random", "recipe": "printed"}
    write_params(
        folder,
        checkpoints={**known["checkpoints"], "theirs": published},
        interpolations={},
        fusions={},
        rerankers={},
        retrievers={
            "bm25": {"checkpoint": "bm25", **as_it_is},
            "theirs": {"checkpoint": "theirs", **as_it_is},
            "base": {"checkpoint": "minilm", **as_it_is},
            "turned": trained,
            "collapsed": trained,
        },
        report={**known["report"], "pairs": []},
        diagnose={"passages": 30, "neighbours": 5, "norms": 6, "seed": 3},
        umap={**known["umap"], "pairs": 24, "n_neighbors": 5, "seed": 3},
    )
    rng = np.random.default_rng(5)
    queries, passages = TEXTS["queries"], TEXTS["passages"]
    topics = np.eye(WIDTH)[rng.integers(2, WIDTH, size=queries)]
    asked = unit(topics + 0.2 * rng.normal(size=(queries, WIDTH)) + np.eye(WIDTH)[0])
    answers = unit(np.vstack([topics, rng.normal(size=(passages - queries, WIDTH))]) + np.eye(WIDTH)[1])
    quarter = np.eye(WIDTH)
    quarter[:2, :2] = [[0, 1], [-1, 0]]
    write_corpus(folder / "data/corpora/in_domain", passages, queries)
    for variant, turn in (("base", np.eye(WIDTH)), ("turned", quarter), ("collapsed", None), ("stray", None)):
        index = folder / "data/indexes" / variant / "in_domain" / ("pretrained" if variant == "base" else "seed-13")
        (index / "topics").mkdir(parents=True)
        for texts, path in ((asked, "topics/test.npy"), (answers, "docs.npy")):
            moved = np.full_like(texts, WIDTH**-0.5) if turn is None else texts @ turn
            np.save(index / path, moved.astype(np.float32))
    (folder / "data/indexes/bm25/in_domain/pretrained/bm25").mkdir(parents=True)
    (folder / "data/indexes/theirs/in_domain/pretrained").mkdir(parents=True)
    return {"base": np.vstack([asked, answers]), "turned": np.vstack([asked, answers]) @ quarter}


def succeeds(command: click.Command, *arguments: object) -> str:
    """What a verb prints on success, run in this process."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output or done.exc_info
    return done.output


def fails(command: click.Command, *arguments: object) -> str:
    """The one line that a verb prints that cannot do what it is asked, run in this process."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.output
    return done.output


def kill_in_training(module: str, arguments: Iterable[object], folder: Path) -> int:
    """Start a training verb in a folder, kill it (-9) once it has a whole checkpoint; the step of its newest one."""
    command = ["python", "-m", module, *map(str, arguments)]
    shared = environment(PYTHONPATH=str(ROOT))
    program = shutil.which("python", path=shared["PATH"])
    process = subprocess.Popen(
        command, executable=program, cwd=folder, env=shared, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.time() + 300
    while not any(map(loop.last_checkpoint, folder.glob(".scratch/*/*"))):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()  # until nobody has its output open
    checkpoints = [path for work in folder.glob(".scratch/*/*") if (path := loop.last_checkpoint(work))]
    return max(map(loop.step_of, checkpoints))


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
