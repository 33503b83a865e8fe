"""TREC files keep a run's own order under trec_eval's tie rule, and its bytes do not change."""

import gzip

import numpy as np
import pyarrow as pa
import pytest
import pytrec_eval
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


LINES = st.lists(
    st.tuples(
        st.sampled_from(["q1", "q2", "q10"]),
        st.sampled_from(["a", "b", "B", "é", "z", "ab", "\uffff", "\U00010000", "d10", "d9"]),
        st.sampled_from(
            ["0.5", "0.50000001", "0.49999999", "1e300", "1e39", "inf", "-inf", "-1e39", "0", "-0.0", "1e-46"]
        ),
    ),
    min_size=1,
    unique_by=lambda line: line[:2],
)


@settings(deadline=None)
@given(LINES)
def test_a_published_run_is_judged_as_pytrec_eval_judges_it_and_so_is_its_export(tmp_path_factory, lines):
    """Scores apart only below float32 or above its range are equal; ids go down by their bytes."""
    folder = tmp_path_factory.mktemp("run")
    raw: dict[str, dict[str, float]] = {}
    for query, passage, score in lines:
        raw.setdefault(query, {})[passage] = float(score)
    given_text = "".join(f"{query} Q0\t{passage} 0 {score} t\r\n" for query, passage, score in lines)
    (folder / "run").write_bytes(b"\xef\xbb\xbf" + given_text.encode())
    run = trec.read(folder / "run")
    assert run["doc_id"].to_pylist() == [passage for query in sorted(raw) for passage in by_pytrec_eval(raw[query])]
    again: dict[str, dict[str, float]] = {}
    for line in "".join(trec.run_text([run], "t")).splitlines():
        query, _, passage, _, score, _ = line.split()
        again.setdefault(query, {})[passage] = float(score)
    assert {query: by_pytrec_eval(again[query]) for query in again} == {
        query: sorted(again[query], key=again[query].get, reverse=True) for query in again
    }
    assert [passage for query in again for passage in again[query]] == run["doc_id"].to_pylist()


def by_pytrec_eval(scores: dict[str, float]) -> list[str]:
    """The order that pytrec_eval puts a query's passages in, from the reciprocal rank of each alone."""
    ranks = {
        passage: pytrec_eval.RelevanceEvaluator({"q": {passage: 1}}, {"recip_rank"}).evaluate({"q": scores})
        for passage in scores
    }
    return sorted(scores, key=lambda passage: -ranks[passage]["q"]["recip_rank"])


def test_a_run_of_other_passages_or_queries_is_refused_and_the_rest_is_counted():
    run = pa.table([["q1", "q1", "q2"], ["a", "x", "y"], [3, 2, 1]], schema=runs.RUN)
    said = trec.overlap(run, pa.array(["a", "b"]), pa.array(["q1", "q3", "q4"]))
    assert said == (
        "2 queries, 1 of them not in the split; 3 passages, 2 of them not in the corpus; 2 of the split's 3 queries "
        "have no ranking"
    )
    with pytest.raises(UserError, match="no passage of the run is known there, 'a' is not"):
        trec.overlap(run, pa.array(["A"]), pa.array(["q1"]))
    with pytest.raises(UserError, match="no query of the run is known there, 'q1' is not; there they are called '1'"):
        trec.overlap(run, pa.array(["a"]), pa.array(["1"]))


@pytest.mark.parametrize(
    "text, message",
    [
        ("q1 Q0 a 1\n", "x.trec:1: not a TREC run line"),
        ("", "the run is empty"),
        ("q Q0 a 1 2 t\n\nq Q0 a 2 1 t\n", "x.trec:3: a passage appears twice for one query, 'a'"),
        ("q Q0 a 1 2 t\nq Q0 b 2 nan t\n", "x.trec:2: the score nan is no number"),
        ("q Q0 a 1 2 t\nq Q0 b\0c 2 1 t\n", "x.trec:2: an id holds a NUL character"),
        ("q Q0 a 1 1_0 t\n", "x.trec:1: not a TREC run line"),
        ("q Q0 a 1 high t\n", "x.trec:1: not a TREC run line"),
    ],
)
def test_a_broken_run_file_is_one_line(text, message, tmp_path):
    (tmp_path / "x.trec").write_text(text)
    with pytest.raises(UserError, match=message):
        trec.read(tmp_path / "x.trec")
    (tmp_path / "cut.trec.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(UserError, match="cannot be read whole"):
        trec.read(tmp_path / "cut.trec.gz")
