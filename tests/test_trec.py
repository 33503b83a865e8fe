"""TREC files keep a run's own order under trec_eval's tie rule, and its bytes do not change."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.collections import canonical
from stages.core.errors import UserError
from stages.evaluation import measures
from stages.retrieval import runs, trec

SCORES = st.lists(
    st.sampled_from([0.5, 0.50000001, 0.4999999, 1e-7, 0.0, -0.0, -0.25, 30.5]) | st.floats(-50, 50, width=32),
    min_size=1,
    max_size=60,
)


def ranking(scores: list[float], query: str = "q") -> pa.Table:
    """Passages named so that trec_eval's rule, name down among equals, would turn every tie round."""
    lines = [(query, f"d{at:03}", score) for at, score in enumerate(scores)]
    return pa.table([pa.array(column) for column in zip(*lines)], schema=runs.RUN)


@settings(deadline=None)
@given(SCORES)
def test_written_scores_fall_at_every_rank_and_hardly_move(scores):
    scores = sorted(np.float32(scores).tolist(), reverse=True)
    text = "".join(trec.run_text([ranking(scores)], "t"))
    read = np.array([line.split()[4] for line in text.splitlines()], dtype=np.float64).astype(np.float32)
    assert (read[1:] < read[:-1]).all()
    np.testing.assert_allclose(read, scores, rtol=len(scores) * 1.3e-7, atol=1e-40)


def test_what_is_read_back_is_the_run(tmp_path):
    own = pa.concat_tables([ranking([0.5, 0.5, 0.5000000 - 1e-7, 0.1], "q1"), ranking([2.0, 2.0], "q2")])
    trec.write(trec.run_text([own.slice(0, 4), own.slice(4)], "variant"), tmp_path / "x.trec.gz", packed=True)
    back = trec.read(tmp_path / "x.trec.gz")
    assert back.select(["query_id", "doc_id"]).equals(own.select(["query_id", "doc_id"]))
    lines = gzip.decompress((tmp_path / "x.trec.gz").read_bytes()).decode().splitlines()
    assert (lines[0], lines[4]) == ("q1 Q0 d000 1 0.5 variant", "q2 Q0 d000 1 2 variant")
    assert (tmp_path / "x.trec.gz").read_bytes()[3:8] == bytes(5)  # neither a name nor a time
    trec.write(["".join(trec.run_text([own], "variant"))], tmp_path / "y.trec.gz", packed=True)
    assert (tmp_path / "y.trec.gz").read_bytes() == (tmp_path / "x.trec.gz").read_bytes()


def test_trec_eval_finds_what_the_study_finds(tmp_path):
    import ir_measures

    own = ranking([0.5, 0.5, 0.5, 0.4])
    judged = pa.table([["q", "q", "none"], ["d001", "d003", "d000"], [1, 2, 1]], schema=canonical.QRELS)
    trec.write(trec.run_text([own], "variant"), tmp_path / "run", packed=False)
    trec.write([trec.qrels_text(judged)], tmp_path / "qrels", packed=False)
    assert (tmp_path / "qrels").read_text() == "q 0 d001 1\nq 0 d003 2\nnone 0 d000 1\n"
    names = ["RR@10", "AP", "nDCG@10"]
    found = ir_measures.calc_aggregate(
        [ir_measures.parse_measure(name) for name in names],
        ir_measures.read_trec_qrels(str(tmp_path / "qrels")),
        ir_measures.read_trec_run(str(tmp_path / "run")),
    )
    values = measures.per_query([own], judged, names, rel=1)
    assert {str(name): value for name, value in found.items()} == pytest.approx(
        {name: sum(values[name].values()) / 2 for name in names}
    )


@pytest.mark.parametrize("name", ["a b", "", "a\u00a0b"])
def test_an_id_that_the_format_cannot_hold_is_one_line(name):
    with pytest.raises(UserError, match="is empty or holds white space"):
        next(trec.run_text([ranking([1.0], query=name)], "t"))


def test_a_trec_run_is_read_in_the_order_of_its_scores_and_equal_ones_go_down_by_id(tmp_path):
    (tmp_path / "x.trec").write_text("q1 Q0 a 1 2.5 t\nq1 Q0 b 2 2.5 t\nq1 Q0 c 3 3.5 t\nq0 Q0 a 1 1 t\n")
    run = trec.read(tmp_path / "x.trec")
    assert run["query_id"].to_pylist() == ["q0", "q1", "q1", "q1"] and run["doc_id"].to_pylist() == ["a", "c", "b", "a"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("q1 Q0 a 1\n", "x.trec:1: not a TREC run line"),
        ("", "the run is empty"),
        ("q Q0 a 1 2 t\nq Q0 a 2 1 t\n", "a passage appears twice"),
    ],
)
def test_a_broken_run_file_is_one_line(text, message, tmp_path):
    (tmp_path / "x.trec").write_text(text)
    with pytest.raises(UserError, match=message):
        trec.read(tmp_path / "x.trec")
    (tmp_path / "cut.trec.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(UserError, match="cannot be read whole"):
        trec.read(tmp_path / "cut.trec.gz")
