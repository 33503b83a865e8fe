"""One tie rule everywhere: on collections with duplicates figures equal pytrec_eval's on raw scores, digit for digit.

pytrec_eval gets (query, passage, score) as they come and sorts them itself; the project sorts them in its searches,
cuts them at a depth, stores them and measures what is stored.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytrec_eval

from stages import search
from stages.collections import canonical
from stages.evaluation import measures
from stages.retrieval import bm25, ranking, runs
from tests import plants

MEASURES = {"RR@10": "recip_rank", "nDCG@10": "ndcg_cut_10", "AP@100": "map_cut_100", "R@100": "recall_100"}
Judged = dict[str, dict[str, int]]


def test_order_is_by_float32_score_then_id_downwards():
    ids = ["a", "é", "z", "\U00010000", "\uffff", "B", "ab"]
    places = ranking.places(pa.array(ids))
    assert [ids[at] for at in np.argsort(places)] == sorted(ids, reverse=True)
    scores = np.array([0.5, 0.50000001, 1e300, 1e200, -0.0, 0.0, 0.5])
    assert [ids[at] for at in ranking.order(scores, places)] == ["\U00010000", "z", "é", "ab", "a", "\uffff", "B"]
    queries = np.array([1, 0, 1, 0, 1, 0, 1])
    assert ranking.order(scores, places, queries).tolist() == [3, 1, 5, 2, 6, 0, 4]
    both = np.stack([scores, -scores])
    assert ranking.order(both, np.stack([places, places])).tolist() == [
        ranking.order(line, places).tolist() for line in both
    ]


def by_pytrec_eval(qrels: Judged, raw: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Measure -> query -> value; RR@10 is the reciprocal rank where that is 10 or better."""
    found = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values())).evaluate(raw)
    values = {name: {query: found[query][theirs] for query in found} for name, theirs in MEASURES.items()}
    values["RR@10"] = {query: value if value > 1 / 10.5 else 0.0 for query, value in values["RR@10"].items()}
    return values


def judgments(qrels: Judged) -> pa.Table:
    rows = [(query, passage, grade) for query, own in qrels.items() for passage, grade in own.items()]
    return pa.table(list(map(list, zip(*rows, strict=True))), schema=canonical.QRELS)


def raw_scores(scores: np.ndarray, queries: list[str], ids: list[str], depth: int) -> dict[str, dict[str, float]]:
    """query -> passage -> score of all passages that score as the one at `depth` does or better, and not 0."""
    raw = {}
    for query, line in zip(queries, scores, strict=True):
        least = np.partition(line, -depth)[-depth] if len(line) > depth else -np.inf
        raw[query] = {ids[row]: float(line[row]) for row in np.flatnonzero((line >= least) & (line != 0))}
    return raw


@pytest.mark.parametrize("drop_self", [False, True])
def test_dense_search_and_measures_equal_pytrec_eval_where_most_passages_have_duplicates(
    drop_self, tmp_path, monkeypatch
):
    """60 texts, each up to twelve times; judged is one of them, often the one that the corpus lists first."""
    rng = np.random.default_rng(7)
    monkeypatch.chdir(tmp_path)
    vectors = rng.standard_normal((60, 16)).astype(np.float32)[np.repeat(np.arange(60), rng.integers(1, 13, size=60))]
    ids = [f"d{number}" for number in rng.permutation(len(vectors) - 40)] + [f"q{number}" for number in range(40)]
    asked = vectors[rng.integers(len(vectors), size=40)] + rng.normal(0, 0.3, (40, 16)).astype(np.float32)
    qrels = {f"q{at}": {ids[row]: int(rng.integers(0, 3)) for row in rng.integers(300, size=8)} for at in range(40)}
    folder = tmp_path / "index/seed-1"
    (folder / "topics").mkdir(parents=True)
    np.save(folder / "docs.npy", vectors)
    np.save(folder / "topics/test.npy", asked)
    corpus(tmp_path / "corpus", ids, list(qrels))
    known = plants.blocks()
    known["corpora"]["in_domain"]["judged"] = {"test": {"drop_self": drop_self}}
    plants.write_params(tmp_path, corpora=known["corpora"], fusions={}, search={"depth": 100, "block": 128})
    options = ("--index", "index", "--collection", "corpus", "--out", "runs")
    plants.succeeds(search.main, "rank", "variant", "in_domain", *options)
    ours = measures.per_query(runs.read(Path("runs/seed-1/test.parquet")), judgments(qrels), list(MEASURES), rel=1)
    scores = (asked.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    raw = raw_scores(scores, list(qrels), ids, len(ids))
    if drop_self:
        raw = {query: {doc: score for doc, score in own.items() if doc != query} for query, own in raw.items()}
    assert ours == by_pytrec_eval(qrels, raw)


def corpus(folder: Path, ids: list[str], queries: list[str]) -> None:
    (folder / "topics").mkdir(parents=True)
    pq.write_table(pa.table([ids, ids], schema=canonical.DOCS), folder / "docs.parquet")
    pq.write_table(pa.table([queries] * 3, schema=canonical.TOPICS), folder / "topics/test.parquet")


@pytest.mark.parametrize("name", ["scifact", "medquad"])
def test_bm25_and_measures_equal_pytrec_eval_on_real_collections(name, real_collections, tmp_path):
    """Of each text the first twelve words: many become equal, and scores repeat."""
    folder = real_collections / name
    docs = {line["_id"]: " ".join(line["text"].split()[:12]) for line in lines(folder, "corpus")}
    qrels: Judged = {}
    for line in (folder / "qrels/test.tsv").read_text().splitlines()[1:]:
        query, passage, grade = line.split("\t")
        if query in qrels or len(qrels) < 100:
            qrels.setdefault(query, {})[passage] = int(grade)
    queries = {line["_id"]: line["text"] for line in lines(folder, "queries") if line["_id"] in qrels}
    bm25.build(list(docs.values()), tmp_path / "bm25", 0.9, 0.4)
    ids = pa.array(list(docs))
    asked = list(queries.values()), tmp_path / "bm25"
    run = runs.table(list(queries), ids, *bm25.top_k(*asked, 100, ranking.places(ids)))
    every = bm25.top_k(*asked, len(docs))
    scores = np.zeros((len(queries), len(docs)), np.float32)
    for line, (values, rows) in zip(scores, zip(*every, strict=True), strict=True):
        line[rows[rows >= 0]] = values[rows >= 0]
    raw = raw_scores(scores, list(queries), list(docs), 100)
    ours, theirs = measures.per_query([run], judgments(qrels), list(MEASURES), rel=1), by_pytrec_eval(qrels, raw)
    assert all(ours[measure][query] == value for measure in MEASURES for query, value in theirs[measure].items())
    by_row = runs.table(list(queries), ids, *bm25.top_k(*asked, 100))
    assert measures.per_query([by_row], judgments(qrels), list(MEASURES), rel=1) != ours


def lines(folder: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]
