"""The verbs encode and search on planted collections: BM25, published runs, vectors, and what a run leaves out."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import encode, search
from stages.collections import canonical
from stages.models import model_folder
from stages.models.model_folder import Description
from stages.retrieval import runs
from tests.plants import blocks, fails, succeeds, write_params

PASSAGES = {"a": "red boat", "b": "old house of boats", "c": "green river", "q1": "red boat"}
CORPORA = blocks()["corpora"]
CORPORA["in_domain"]["judged"] = {"dev": {}, "test": {"drop_self": True}}
QUERIES = {"q1": "red boat", "q2": "river"}


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch) -> None:
    """A collection of four passages, one of which is a query too, and params that drop a query's own passage."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, corpora=CORPORA)
    for split in ("train", "dev", "test"):
        topics = [list(QUERIES), list(QUERIES.values()), list(QUERIES)]
        write(f"topics/{split}", pa.table(topics, schema=canonical.TOPICS))
    write("docs", pa.table([list(PASSAGES), list(PASSAGES.values())], schema=canonical.DOCS))
    Path("corpus/docs.json").write_text(json.dumps({"documents": len(PASSAGES), "tokens": None}))


def write(name: str, table: pa.Table) -> None:
    path = Path(f"corpus/{name}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def encoded(description: Description, corpus: str = "in_domain", trec: str | None = None) -> str:
    folder = Path("models/pretrained")
    folder.mkdir(parents=True)
    model_folder.write(description, folder)
    if trec:
        (folder / "run.trec").write_text(trec)
    return succeeds(encode.main, "variant", corpus, "--model", "models", "--collection", "corpus", "--out", "index")


def ranked(split: str) -> dict[str, list[str]]:
    """The passages of each query in a run, best first."""
    succeeds(search.main, "rank", "variant", "in_domain", *options("runs"))
    ranking: dict[str, list[str]] = {}
    for row in pq.read_table(f"runs/pretrained/{split}.parquet").to_pylist():
        ranking.setdefault(row["query_id"], []).append(row["doc_id"])
    return ranking


def options(out: str) -> tuple[str, ...]:
    return "--index", "index", "--collection", "corpus", "--out", out


def test_bm25_finds_what_shares_a_term_and_a_query_not_itself_where_the_split_says_so():
    encoded(Description("lexical", k1=0.9, b=0.4))
    assert ranked("dev") == {"q1": ["q1", "a", "b"], "q2": ["c"]}
    assert ranked("test") == {"q1": ["a", "b"], "q2": ["c"]}
    assert json.loads(Path("data/costs/search/variant.in_domain.json").read_text())["queries_per_second"] > 0


def test_a_published_run_is_that_of_its_own_corpus_and_split_alone():
    trec = "q2 Q0 b 1 1.5 tag\nq2 Q0 c 2 2.5 tag\n"
    encoded(Description("published-run", corpus="in_domain", split="test"), trec=trec)
    assert ranked("test") == {"q2": ["c", "b"]}
    assert not Path("runs/pretrained/dev.parquet").exists()


def test_a_published_run_has_none_for_another_corpus():
    trec = "q2 Q0 b 1 1.5 tag\n"
    encoded(Description("published-run", corpus="in_domain", split="test"), "out_of_domain", trec)
    succeeds(search.main, "rank", "variant", "in_domain", *options("runs"))
    assert Path("runs/pretrained").is_dir() and not list(Path("runs/pretrained").iterdir())


def test_what_a_published_run_shares_with_the_corpus_is_printed_and_nothing_stops_it():
    trec = "q2 Q0 b 1 1.5 tag\nq2 Q0 x 2 2.5 tag\n"
    printed = encoded(Description("published-run", corpus="in_domain", split="test"), trec=trec)
    assert printed.startswith("variant: 1 queries, 0 of them not in the split; 2 passages, 1 of them not in the corpus")
    Path("models/pretrained/run.trec").write_text("q2 Q0 x 1 1.5 tag\n")
    command = ("variant", "in_domain", "--model", "models", "--collection", "corpus", "--out", "index")
    assert "variant on corpus test: no passage of the run is known there, 'x' is not" in fails(encode.main, *command)


@pytest.mark.parametrize("passages", [{"a": "red"}, {"a": "\u7ea2\u8272\u7684\u8239"}, {"a": ""}])
def test_a_run_without_lines_is_a_run(passages):
    """BM25 that no term matches, and a query that finds itself alone."""
    write("docs", pa.table([["q1"], list(passages.values())], schema=canonical.DOCS))
    encoded(Description("lexical", k1=0.9, b=0.4))
    assert ranked("test") == {}
    succeeds(search.main, "mine", "base", *options("pool.parquet"))
    assert not list(runs.read(Path("pool.parquet")))


def index(seed_run: str, vectors: np.ndarray) -> None:
    folder = Path("index") / seed_run
    (folder / "topics").mkdir(parents=True)
    np.save(folder / "docs.npy", vectors)
    for split in ("train", "dev", "test"):
        np.save(folder / "topics" / f"{split}.npy", np.eye(2, dtype=np.float32))


def test_a_pool_is_ranked_for_the_training_queries_by_the_first_seed_run():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], dtype=np.float32)
    index("seed-2", -vectors)
    index("seed-1", vectors)
    succeeds(search.main, "mine", "base", *options("pool.parquet"))
    (pool,) = runs.read(Path("pool.parquet"))
    assert pool["query_id"].to_pylist() == ["q1"] * 3 + ["q2"] * 4
    assert pool["doc_id"].to_pylist() == ["a", "c", "b", "b", "c", "q1", "a"]


def test_runs_are_the_same_bytes_for_any_number_of_processes_and_the_speed_is_said():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], dtype=np.float32)
    index("seed-1", vectors)
    written = []
    for processes in (1, 3):
        write_params(Path.cwd(), scale={**blocks()["scale"], "search": {"processes": processes}}, corpora=CORPORA)
        said = succeeds(search.main, "rank", "variant", "in_domain", *options("runs"))
        assert "GB of vectors searched" in said
        written.append([Path(f"runs/seed-1/{split}.parquet").read_bytes() for split in ("dev", "test")])
    assert written[0] == written[1]
    assert json.loads(Path("data/costs/search/variant.in_domain.json").read_text())["gigabytes_per_second"] >= 0


def test_vectors_of_another_collection_are_one_line():
    index("seed-1", np.eye(2, dtype=np.float32))
    assert "docs.npy: 2 vectors for 4 passages" in fails(search.main, "mine", "base", *options("pool.parquet"))
    assert not Path("pool.parquet").exists()
