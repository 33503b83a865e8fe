"""The sample that all variants share and what is measured on it, by hand."""

import numpy as np
import pyarrow as pa

from stages.analysis import projection
from stages.analysis.vectors import unit


def ids(letter: str, count: int) -> pa.Array:
    return pa.array([f"{letter}{number}" for number in range(count)])


def judgments(rows: list[tuple[str, str, int]]) -> pa.Table:
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(["query_id", "doc_id", "grade"])})


def test_a_pair_is_a_query_and_its_best_passage_in_the_corpus_and_nothing_stands_twice():
    rows = [
        *(("q0", "d4", 1), ("q0", "d3", 2), ("q0", "d2", 2), ("q1", "gone", 3)),
        *(("q2", "d5", 1), ("q3", "d2", 3), ("q4", "d1", 2), ("asked-elsewhere", "d0", 3)),
    ]
    queries, passages = projection.pairs(ids("q", 5), ids("d", 6), judgments(rows), 1, 10, 7)
    pairs = dict(zip(queries.tolist(), passages.tolist(), strict=True))
    assert pairs in ({0: 2, 2: 5, 4: 1}, {3: 2, 2: 5, 4: 1})  # q0 and q3 have the same best passage
    again = projection.pairs(ids("q", 5), ids("d", 6), judgments(rows[::-1]), 1, 10, 7)
    assert np.array_equal(again, (queries, passages))
    assert 2 not in projection.pairs(ids("q", 5), ids("d", 6), judgments(rows), 2, 10, 7)[0]


def test_figures_are_the_ones_worked_out_by_hand():
    base = np.repeat(np.eye(4)[:2], 6, axis=0)  # six queries on one axis, six passages on another
    turned = base @ np.eye(4)[[0, 2, 1, 3]]  # passages moved to a third axis
    apart = base[:, :2] + np.linspace(0, 0.001, 12)[:, None]
    figures = projection.figures(turned, apart, base, "cosine", 3)
    assert figures["mean_cosine_to_base"] == 0.5 and figures["mean_cosine_to_positive"] == 0
    assert figures["silhouette_queries_passages_384d"] == 1 and figures["silhouette_queries_passages_2d"] > 0.99
    noise = 1e-8 * np.random.default_rng(0).normal(size=(12, 4))
    same = unit(np.ones((12, 4)) + noise)  # collapsed, up to rounding
    figures = projection.figures(same, apart, base, "cosine", 3)
    assert figures["silhouette_queries_passages_384d"] == 0 and figures["mean_cosine_to_positive"] == 1
    assert figures["mean_cosine_to_base"] == 0.5
    plane = np.random.default_rng(1).normal(size=(40, 2))
    assert projection.figures(plane, plane * 3, None, "euclidean", 5)["trustworthiness"] == 1
    assert projection.figures(plane, plane[::-1] * 3, None, "euclidean", 5)["trustworthiness"] < 0.8
