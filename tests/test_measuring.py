"""Measures held to figures that nobody here produced, and to cases counted by hand."""
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.collections import canonical, readers
from stages.evaluation import measures
from stages.params.corpora import Corpus, JudgedSplit
from stages.retrieval import runs
from stages.core.errors import UserError

MEASURES = ["RR@10", "nDCG@10", "AP", "R@100", "Judged@10"]


def table(schema, rows) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows)], schema=schema)


def test_by_hand():
    qrels = table(canonical.QRELS, [("q1", "a", 1), ("q1", "b", 2), ("q1", "c", 0), ("q2", "a", 1), ("q3", "z", 0)])
    run = table(runs.RUN, [("q1", "c", .9), ("q1", "x", .8), ("q1", "b", .7), ("q1", "a", .6), ("q9", "a", .5)])
    found = measures.per_query([run], qrels, MEASURES, rel=1)
    assert found["RR@10"] == {"q1": pytest.approx(1 / 3), "q2": 0, "q3": 0}
    assert found["AP"]["q1"] == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert found["Judged@10"]["q1"] == pytest.approx(3 / 4)
    same = measures.per_query([run.slice(0, 4), run.slice(4)], qrels, ["RR@10", "RR(rel=1)@10"], rel=1)
    assert same["RR@10"] == same["RR(rel=1)@10"] == found["RR@10"]
    strict = measures.per_query([run], qrels, ["AP", "AP(rel=1)"], rel=2)
    assert strict["AP"]["q1"] == pytest.approx(1 / 3) and strict["AP(rel=1)"]["q1"] == pytest.approx(5 / 12)


def test_equal_scores_keep_the_order_of_the_run():
    """ir_measures' providers break ties in opposite orders; the run's order must win in all measures alike."""
    qrels = table(canonical.QRELS, [("q", "m", 1)])
    for order in (["a", "m", "z"], ["z", "m", "a"]):
        run = table(runs.RUN, [("q", doc, 0.5) for doc in order])
        found = measures.per_query([run], qrels, ["RR@10", "AP", "nDCG@10"], rel=1)
        assert found["RR@10"]["q"] == found["AP"]["q"] == 0.5
        assert found["nDCG@10"]["q"] == pytest.approx(0.6309, abs=1e-4)


@pytest.mark.parametrize("system", ["BM25", "BM25_RM3", "D_BERT_KD_TASB", "SPLADE_P_P_ENSEMBLE_DISTIL", "OPEN_AI_ADA2"])
def test_published_runs_get_their_published_figure(system, real_collections):
    published = json.loads((real_collections / "reference.json").read_text())["pyserini_2cr"]["ndcg@10"]["dl19"]
    folder = real_collections / "msmarco-mini"
    corpus = Corpus(source=f"beir:{folder}", judged={"dl19": JudgedSplit(subset="dl19.official-full.trec")})
    qrels = table(canonical.QRELS, readers.read(corpus).qrels["dl19"])
    run = runs.from_trec(folder / "runs" / f"dl19.{system}.top100.trec.gz")
    values = measures.per_query([run], qrels, ["nDCG@10"], rel=2)["nDCG@10"].values()
    assert len(values) == 43
    assert sum(values) / 43 == pytest.approx(published[system], abs=5e-5)


def test_a_trec_run_survives_the_round_trip_and_ties_go_down_by_name(tmp_path):
    (tmp_path / "x.trec").write_text("q1 Q0 a 1 2.5 t\nq1 Q0 b 2 2.5 t\nq1 Q0 c 3 3.5 t\nq0 Q0 a 1 1 t\n")
    run = runs.from_trec(tmp_path / "x.trec")
    assert run["doc_id"].to_pylist() == ["a", "c", "b", "a"]
    (tmp_path / "y.trec").write_text(runs.to_trec(run, "t"))
    assert runs.from_trec(tmp_path / "y.trec").equals(run)
    runs.write([run], tmp_path / "run.parquet")
    assert pq.read_table(tmp_path / "run.parquet").equals(run)


@pytest.mark.parametrize("text, told", [("q1 Q0 a 1\n", "x.trec:1: not a TREC run line"), ("", "the run is empty"),
                                        ("q Q0 a 1 2 t\nq Q0 a 2 1 t\n", "a passage stands twice")])
def test_a_broken_run_file_is_one_line(text, told, tmp_path):
    (tmp_path / "x.trec").write_text(text)
    with pytest.raises(UserError, match=told):
        runs.from_trec(tmp_path / "x.trec")
    (tmp_path / "cut.trec.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(UserError, match="cannot be read whole"):
        runs.from_trec(tmp_path / "cut.trec.gz")
