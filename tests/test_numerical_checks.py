"""Bounds over the orders of equal scores, held to all those orders, and what half precision does to planted vectors."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.analysis import numerical_checks as checks
from stages.analysis.numerical_checks import Ranking


def flags(text: str) -> np.ndarray:
    return np.array([letter == "R" for letter in text])


@pytest.mark.parametrize(
    "scores, relevant, depth, bounds",
    [
        ([5, 4, 3], "..R", 10, (1 / 3, 1 / 3)),
        ([5, 5, 5], ".R.", 10, (1 / 3, 1)),
        ([5, 5, 5], "RR.", 10, (1 / 2, 1)),
        ([5, 4, 4], "..R", 2, (0, 1 / 2)),  # the tie is across the cut-off
        ([5, 4, 4], "R.R", 2, (1, 1)),  # what comes after the first does not matter
        ([5, 4, 3], "..R", 2, (0, 0)),
        ([5, 5, 5], "...", 10, (0, 0)),
        ([], "", 10, (0, 0)),
    ],
)
def test_bounds_on_planted_ties(scores, relevant, depth, bounds):
    assert checks.reciprocal_rank_bounds(np.array(scores), flags(relevant), depth) == bounds


@settings(max_examples=150, deadline=None)
@given(ranking=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=6), depth=st.integers(1, 7))
def test_bounds_are_the_worst_and_the_best_of_all_orders(ranking, depth):
    ranking.sort(key=lambda passage: -passage[0])
    values = []
    for order in permutations(ranking):
        if all(one[0] >= other[0] for one, other in pairwise(order)):
            ranks = [rank for rank, (_, relevant) in enumerate(order, 1) if relevant]
            values.append(1 / ranks[0] if ranks and ranks[0] <= depth else 0.0)
    scores, relevant = np.array([passage[0] for passage in ranking]), np.array([r for _, r in ranking], dtype=bool)
    worst, best = checks.reciprocal_rank_bounds(scores, relevant, depth)
    assert (worst, best) == (min(values), max(values))
    assert worst <= checks.reciprocal_rank(relevant, depth) <= best


def test_a_tie_at_the_cutoff_needs_one_more_passage():
    scores = np.array([3, 2, 2, 1], dtype=np.float32)
    assert [checks.tied_at_cutoff(scores, depth) for depth in (1, 2, 3, 4, 9)] == [False, True, False, False, False]


def test_half_precision_rounds_vectors_and_result():
    ulp = 2.0**-11  # between numbers of float16 from 0.5 to 1
    query = np.array([[1, 0]], dtype=np.float32)
    near = np.array([[0.75, 0], [0.75 + ulp / 4, 0], [0.75 + ulp, 0]], dtype=np.float32)
    assert checks.half(query, near).tolist() == [[0.75, 0.75, 0.75 + ulp]]
    spread = np.array([[0.5, ulp / 2]], dtype=np.float32)  # both are float16, their sum is halfway: to even
    assert checks.half(np.ones((1, 2), dtype=np.float32), spread).tolist() == [[0.5]]
    assert checks.half(query, near).dtype == np.float32


def test_a_pair_closer_than_the_quantum_changes_places():
    query, q = np.full((1, 4), 0.5, dtype=np.float32), 2.0**-11  # float16 is q apart from 0.5 to 1
    down = [0.5 + 0.48 * q] * 4  # all four round down to 0.5
    up = [0.5 + 0.6 * q] * 3 + [0.5]  # three round up to 0.5 + q
    passages = np.array([down, up], dtype=np.float32)
    exact = (query @ passages.T)[0]
    assert 0 < exact[0] - exact[1] < q  # 1 + 0.96 q and 1 + 0.9 q
    rescored = checks.half(query, passages)[0]
    assert rescored.tolist() == [1, 1 + 2 * q]  # 1 + 0 q; 1 + 1.5 q, which float16 has only as 2 q
    assert checks.reordered(rescored, 10) and checks.order(rescored).tolist() == [1, 0]
    figures = checks.of_half_precision([Ranking(rescored, flags("R."))], 10, 2)
    assert figures == {"fp16_reordered": 1, "fp16_RR@10_changed": 1, "fp16_worst_RR@10": 0.25, "fp16_best_RR@10": 0.25}


def test_what_half_precision_makes_equal_keeps_its_order_and_widens_the_bounds():
    scores, relevant = np.array([0.75, 0.75, 0.5]), flags(".R.")
    assert not checks.reordered(scores, 2)
    figures = checks.of_half_precision([Ranking(scores, relevant)], 10, 1)
    assert figures == {"fp16_reordered": 0, "fp16_RR@10_changed": 0, "fp16_worst_RR@10": 0.5, "fp16_best_RR@10": 1}
    assert checks.reordered(np.array([0.75, 0.5, 0.5, 0.6]), 2)
    assert not checks.reordered(np.array([0.75, 0.5, 0.4, 0.45]), 2)


def test_a_query_without_a_ranking_counts_as_zero():
    rankings = [Ranking(np.array([2.0, 1, 1]), flags("..R")), Ranking(np.array([2.0]), flags("R"))]
    assert checks.of_ties(rankings, 2, 4) == {"RR@2": 0.25, "worst_RR@2": 0.25, "best_RR@2": 0.375, "tied_at_2": 1}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 12), scale=st.sampled_from([1, 10]))
def test_passages_out_of_reach_change_nothing(seed, depth, scale):
    """Also of vectors that are compared at any length."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1, 32)) + 0.05 * rng.normal(size=(80, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32) * scale
    query, passages = vectors[:1], vectors[1:]
    exact = (passages.astype(np.float64) @ query[0].astype(np.float64)).astype(np.float32)
    first = checks.order(exact)
    relevant = rng.random(len(first)) < 0.1
    near = checks.within_reach(exact[first], depth, scale**2)
    rescored = checks.half(query, passages[first])[0]
    whole, cut = ([Ranking(rescored[:stop], relevant[:stop])] for stop in (None, near))
    assert checks.of_half_precision(cut, depth, 1) == checks.of_half_precision(whole, depth, 1)
