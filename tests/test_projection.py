"""The shared sample, what is measured on it, and the stage that draws it, on planted vectors."""
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import visualize
from stages.analysis import projection

ROOT = Path(__file__).resolve().parents[1]
QUERIES, PASSAGES, PAIRS, WIDTH = 40, 60, 24, 8
ROWS = ["bm25", "theirs", "base", "turned", "collapsed"]


def ids(letter: str, count: int) -> pa.Array:
    return pa.array([f"{letter}{number}" for number in range(count)])


def judgments(rows: list[tuple[str, str, int]]) -> pa.Table:
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(["query_id", "doc_id", "grade"])})


def test_a_pair_is_a_query_and_its_best_passage_in_the_corpus_and_nothing_stands_twice():
    rows = [("q0", "d4", 1), ("q0", "d3", 2), ("q0", "d2", 2), ("q1", "gone", 3), ("q2", "d5", 1), ("q3", "d2", 3),
            ("q4", "d1", 2), ("asked-elsewhere", "d0", 3)]
    queries, passages = projection.pairs(ids("q", 5), ids("d", 6), judgments(rows), 1, 10, 7)
    found = dict(zip(queries.tolist(), passages.tolist()))
    assert found in ({0: 2, 2: 5, 4: 1}, {3: 2, 2: 5, 4: 1})  # q0 and q3 have the same best passage
    again = projection.pairs(ids("q", 5), ids("d", 6), judgments(rows[::-1]), 1, 10, 7)
    assert np.array_equal(again, (queries, passages))
    assert 2 not in projection.pairs(ids("q", 5), ids("d", 6), judgments(rows), 2, 10, 7)[0]


def test_figures_are_the_ones_worked_out_by_hand():
    base = np.repeat(np.eye(4)[:2], 6, axis=0)                  # six queries on one axis, six passages on another
    turned = base @ np.eye(4)[[0, 2, 1, 3]]                     # passages moved to a third axis
    apart = base[:, :2] + np.linspace(0, 0.001, 12)[:, None]
    found = projection.figures(turned, apart, base, "cosine", 3)
    assert found["mean_cosine_to_base"] == 0.5 and found["mean_cosine_to_positive"] == 0
    assert found["silhouette_queries_passages_384d"] == 1 and found["silhouette_queries_passages_2d"] > 0.99
    noise = 1e-8 * np.random.default_rng(0).normal(size=(12, 4))
    same = projection.unit(np.ones((12, 4)) + noise)            # collapsed, up to rounding
    found = projection.figures(same, apart, base, "cosine", 3)
    assert found["silhouette_queries_passages_384d"] == 0 and found["mean_cosine_to_positive"] == 1
    assert found["mean_cosine_to_base"] == 0.5
    plane = np.random.default_rng(1).normal(size=(40, 2))
    assert projection.figures(plane, plane * 3, None, "euclidean", 5)["trustworthiness"] == 1
    assert projection.figures(plane, plane[::-1] * 3, None, "euclidean", 5)["trustworthiness"] < 0.8


def plant(home: Path) -> dict[str, np.ndarray]:
    """A study in `home` with BM25, a published run, the base, a row turned in one plane, and one collapsed."""
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    blocks["checkpoints"]["theirs"] = {"architecture": "run", "source": "trec:x.trec", "corpus": "in_domain", "split": "test"}
    idle = {"tuning": "none", "triplets": "none", "recipe": "none"}
    trained = {"start": "minilm", "tuning": "full", "triplets": "random", "recipe": "printed"}
    blocks["interpolations"] = {}
    blocks["retrievers"] = {"bm25": {"start": "bm25", **idle}, "theirs": {"start": "theirs", **idle},
                            "base": {"start": "minilm", **idle}, "turned": trained, "collapsed": trained}
    blocks["rerankers"], blocks["report"]["pairs"] = {}, []
    blocks["umap"] = {"corpus": "in_domain", "split": "test", "pairs": PAIRS, "n_neighbors": 5, "min_dist": 0.1,
                      "metric": "cosine", "seed": 3}
    with open(home / "params.yaml", "w") as handle:
        YAML().dump(blocks, handle)
    rng = np.random.default_rng(5)
    topics = np.eye(WIDTH)[rng.integers(2, WIDTH, size=QUERIES)]
    queries = projection.unit(topics + 0.2 * rng.normal(size=(QUERIES, WIDTH)) + np.eye(WIDTH)[0])
    passages = projection.unit(np.vstack([topics, rng.normal(size=(PASSAGES - QUERIES, WIDTH))]) + np.eye(WIDTH)[1])
    quarter = np.eye(WIDTH)
    quarter[:2, :2] = [[0, 1], [-1, 0]]
    corpus = home / "data/corpora/in_domain"
    for folder in ("topics", "qrels"):
        (corpus / folder).mkdir(parents=True)
    pq.write_table(pa.table({"doc_id": ids("d", PASSAGES), "text": [""] * PASSAGES}), corpus / "docs.parquet")
    pq.write_table(pa.table({"query_id": ids("q", QUERIES), "text": [""] * QUERIES, "cluster": ids("q", QUERIES)}),
                   corpus / "topics/test.parquet")
    pq.write_table(judgments([(f"q{n}", f"d{n}", 1) for n in range(QUERIES)]), corpus / "qrels/test.parquet")
    for row, turn in (("base", np.eye(WIDTH)), ("turned", quarter), ("collapsed", None), ("stray", None)):
        index = home / "data/indexes" / row / "in_domain" / ("pretrained" if row == "base" else "seed-13")
        (index / "topics").mkdir(parents=True)
        for texts, path in ((queries, "topics/test.npy"), (passages, "docs.npy")):
            moved = np.full_like(texts, WIDTH ** -0.5) if turn is None else texts @ turn
            np.save(index / path, moved.astype(np.float32))
    (home / "data/indexes/bm25/in_domain/pretrained/bm25").mkdir(parents=True)
    (home / "data/indexes/theirs/in_domain/pretrained").mkdir(parents=True)
    (home / "reports/training").mkdir(parents=True)
    entries = []
    for row in ROWS:
        copy = "seed-13" if row in ("turned", "collapsed") else "pretrained"
        log = [{"step": 0, "RR@10": 0.8}, {"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.05, "RR@10": 0.7}]
        copies = [{"seed": 13, "log": log}] if copy == "seed-13" else []
        (home / f"reports/training/{row}.json").write_text(json.dumps({"variant": row, "seed_runs": copies}))
        for corpus in ("in_domain", "sympy")[:1 if row == "theirs" else 2]:
            entry = {"variant": row, "corpus": corpus, "split": "test", "measure": "RR@10", "value": 0.5, "seeds": 1,
                     "spread": None, "by_seed_run": {copy: 0.5}}
            if row != "base":
                entry |= {"difference": -0.1, "low": -0.15, "high": -0.05, "base": 0.6, "queries": QUERIES,
                          "clusters": 10, "better": 1, "worse": 9, "equal": 30, "detectable": 0.05,
                          "verdict": "worse"}
            entries.append(entry)
    (home / "reports/results.json").write_text(json.dumps(entries))
    return {"base": np.vstack([queries, passages]), "turned": np.vstack([queries, passages]) @ quarter}


def run(home: Path, monkeypatch, out: str = "reports/figures"):
    monkeypatch.chdir(home)
    return CliRunner().invoke(visualize.main, [
        "--indexes", "data/indexes", "--corpora", "data/corpora", "--training", "reports/training", "--results",
        "reports/results.json", "--out", out, "--projection", "reports/projection.json"])


def test_the_stage_measures_one_sample_for_all_rows_and_draws_the_same_bytes_twice(tmp_path, monkeypatch):
    vectors = plant(tmp_path)
    done = run(tmp_path, monkeypatch)
    assert done.exit_code == 0, done.output
    first = (tmp_path / "reports/projection.json").read_text()
    found = json.loads(first)
    assert found["sample"] == {"corpus": "in_domain", "split": "test", "seed": 3, "pairs": PAIRS}
    assert list(found["variants"]) == ["base", "turned", "collapsed"]
    qrels = pq.read_table(tmp_path / "data/corpora/in_domain/qrels/test.parquet")
    queries, passages = projection.pairs(ids("q", QUERIES), ids("d", PASSAGES), qrels, 1, PAIRS, 3)
    base, turned = (vectors[row][np.concatenate([queries, QUERIES + passages])] for row in ("base", "turned"))
    rows = found["variants"]
    assert rows["base"]["mean_cosine_to_base"] == 1
    # A quarter turn of a plane leaves x.Rx = what lies outside the plane, and every angle between texts as it was.
    assert rows["turned"]["mean_cosine_to_base"] == pytest.approx((base[:, 2:] ** 2).sum(axis=1).mean(), abs=1e-4)
    for figure in ("silhouette_queries_passages_384d", "mean_cosine_to_positive"):
        assert rows["turned"][figure] == rows["base"][figure]
    from sklearn.metrics import silhouette_score
    assert rows["turned"]["silhouette_queries_passages_384d"] == pytest.approx(
        silhouette_score(turned, np.repeat([0, 1], PAIRS), metric="cosine"), abs=1e-4)
    assert rows["collapsed"]["silhouette_queries_passages_384d"] == 0
    assert rows["collapsed"]["mean_cosine_to_positive"] == 1
    assert rows["collapsed"]["mean_cosine_to_base"] == pytest.approx(base.sum(axis=1).mean() * WIDTH ** -0.5, abs=1e-4)
    assert run(tmp_path, monkeypatch, "again").exit_code == 0
    assert (tmp_path / "reports/projection.json").read_text() == first
    for name in ("degradation.png", "curves.png", "umap.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "reports/figures" / name).read_bytes()


@pytest.mark.parametrize("lost, told", [
    ("data/indexes/turned/home", "data/indexes: no index of home by turned; run dvc repro"),
    ("data/indexes/turned/in_domain/seed-13/topics/test.npy", "topics/test.npy: there is no such file; run dvc repro"),
    ("reports/training/base.json", "reports/training: no training log of base; run dvc repro")])
def test_what_is_missing_is_named_in_one_line(tmp_path, monkeypatch, lost, told):
    plant(tmp_path)
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    done = run(tmp_path, monkeypatch)
    assert done.exit_code == 1 and done.output.splitlines()[-1].endswith(told)
    assert not (tmp_path / "reports/figures").exists() and not (tmp_path / "reports/projection.json").exists()


def test_a_diverged_row_is_named(tmp_path, monkeypatch):
    plant(tmp_path)
    path = tmp_path / "data/indexes/turned/in_domain/seed-13/docs.npy"
    np.save(path, np.full((PASSAGES, WIDTH), np.nan, dtype=np.float32))
    done = run(tmp_path, monkeypatch)
    assert done.exit_code == 1 and "turned/in_domain/seed-13/docs.npy: some vectors are not numbers" in done.output
