"""Measures held to figures that nobody here produced, and to cases counted by hand."""

import json

import pyarrow as pa
import pytest

from stages.collections import canonical, readers
from stages.evaluation import measures
from stages.params.corpora import Corpus, JudgedSplit
from stages.retrieval import runs, trec

MEASURES = ["RR@10", "nDCG@10", "AP", "R@100", "Judged@10"]


def table(schema, rows) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows)], schema=schema)


def test_by_hand():
    qrels = table(canonical.QRELS, [("q1", "a", 1), ("q1", "b", 2), ("q1", "c", 0), ("q2", "a", 1), ("q3", "z", 0)])
    run = table(runs.RUN, [("q1", "c", 0.9), ("q1", "x", 0.8), ("q1", "b", 0.7), ("q1", "a", 0.6), ("q9", "a", 0.5)])
    values = measures.per_query([run], qrels, MEASURES, rel=1)
    assert values["RR@10"] == {"q1": pytest.approx(1 / 3), "q2": 0, "q3": 0}
    assert values["AP"]["q1"] == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert values["Judged@10"]["q1"] == pytest.approx(3 / 4)
    same = measures.per_query([run.slice(0, 4), run.slice(4)], qrels, ["RR@10", "RR(rel=1)@10"], rel=1)
    assert same["RR@10"] == same["RR(rel=1)@10"] == values["RR@10"]
    strict = measures.per_query([run], qrels, ["AP", "AP(rel=1)"], rel=2)
    assert strict["AP"]["q1"] == pytest.approx(1 / 3) and strict["AP(rel=1)"]["q1"] == pytest.approx(5 / 12)


def test_equal_scores_keep_the_order_of_the_run():
    """ir_measures' providers break ties in opposite orders; the run's order must win in all measures alike."""
    qrels = table(canonical.QRELS, [("q", "m", 1)])
    for order in (["a", "m", "z"], ["z", "m", "a"]):
        run = table(runs.RUN, [("q", doc, 0.5) for doc in order])
        values = measures.per_query([run], qrels, ["RR@10", "AP", "nDCG@10"], rel=1)
        assert values["RR@10"]["q"] == values["AP"]["q"] == 0.5
        assert values["nDCG@10"]["q"] == pytest.approx(0.6309, abs=1e-4)


@pytest.mark.parametrize("system", ["BM25", "BM25_RM3", "D_BERT_KD_TASB", "SPLADE_P_P_ENSEMBLE_DISTIL", "OPEN_AI_ADA2"])
def test_published_runs_get_their_published_figure(system, real_collections):
    published = json.loads((real_collections / "reference.json").read_text())["pyserini_2cr"]["ndcg@10"]["dl19"]
    folder = real_collections / "msmarco-mini"
    corpus = Corpus(source=f"beir:{folder}", judged={"dl19": JudgedSplit(subset="dl19.official-full.trec")})
    qrels = table(canonical.QRELS, readers.read(corpus).qrels["dl19"])
    run = trec.read(folder / "runs" / f"dl19.{system}.top100.trec.gz")
    values = measures.per_query([run], qrels, ["nDCG@10"], rel=2)["nDCG@10"].values()
    assert len(values) == 43
    assert sum(values) / 43 == pytest.approx(published[system], abs=5e-5)


def test_a_part_of_many_queries_is_measured_in_small_ones(monkeypatch):
    judged = [(f"q{at}", f"d{at % 7}", 1) for at in range(20)]
    ranked = [(f"q{at}", f"d{(at + rank) % 9}", -float(rank)) for at in range(20) for rank in range(1 + at % 5)]
    qrels, run = table(canonical.QRELS, judged), table(runs.RUN, ranked)
    whole = measures.per_query([run], qrels, MEASURES, rel=1)
    seen, ranks = [], measures._ranked
    monkeypatch.setattr(measures, "_ranked", lambda part, judged: seen.append(len(part)) or ranks(part, judged))
    monkeypatch.setattr(measures, "ROWS", 7)
    assert measures.per_query([run], qrels, MEASURES, rel=1) == whole
    assert max(seen) <= 7 and sum(seen) == len(run) and len(seen) > 5
