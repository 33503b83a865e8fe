"""The arithmetic of stages/ledger/claims.yaml: an expression over stages/ledger/printed_tables.yaml, and its functions."""
import math
from typing import NamedTuple

import numpy as np

from stages.ledger import library_facts


class Between(NamedTuple):
    """A figure that is known only to lie in low..high."""
    low: float
    high: float


def between(*values: float) -> Between:
    """The range of several figures."""
    return Between(min(values), max(values))


def change(new: float, old: float) -> float:
    """Difference in per cent of the old value."""
    return 100 * (new / old - 1)


def worst(printed: list[float], computed: list[float]) -> float:
    """The largest distance between figures as printed and as computed, in the printed figures' unit."""
    return max(abs(one - other) for one, other in zip(printed, computed, strict=True))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def spearman(one: list[float], other: list[float]) -> float:
    """Spearman's rank correlation."""
    from scipy.stats import spearmanr
    return float(spearmanr(one, other).statistic)


def slower(runs: list[float], base: list[float]) -> Between:
    """95 % interval of the difference of two means (Welch 1947), in per cent of the base's mean."""
    from scipy.stats import ttest_ind
    found = ttest_ind(runs, base, equal_var=False).confidence_interval(0.95)
    return Between(*(100 * float(end) / mean(base) for end in found))


def differing(one: dict, other: dict, columns: list[str]) -> int:
    """How many cells of the named columns differ between two tables with the same rows."""
    return sum(one[row][column] != other[row][column]
               for row in one if row not in ("source", "unit") for column in columns)


def pairs(table: dict) -> list[dict]:
    """The rows of a table, without what says where it was read."""
    return [row for name, row in table.items() if name not in ("source", "unit")]


def least_deviation(average: float) -> float:
    """The smallest standard deviation that reciprocal ranks with this mean can have.

    A reciprocal rank is 0 or 1/k; the least spread has all of them at the two such values beside the mean, where
    (1/k - mean)(mean - 1/(k+1)) is the variance.
    """
    rank = math.floor(1 / average)
    return math.sqrt((1 / rank - average) * (average - 1 / (rank + 1)))


def largest_effect(average: float, base: float) -> float:
    """An upper bound of Cohen's d, with the pooled deviation, between reciprocal ranks of these two means."""
    pooled = math.sqrt((least_deviation(average) ** 2 + least_deviation(base) ** 2) / 2)
    return abs(average - base) / pooled


def chance_reciprocal_rank(passages: int) -> float:
    """Expected reciprocal rank of one relevant passage in a random order of so many: their mean of 1/rank."""
    return sum(1 / rank for rank in range(1, passages + 1)) / passages


def cosine_left(step: float, period: float) -> float:
    """The share of its first value that a cosine-annealed rate has at a step (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * step / period)) / 2


FUNCTIONS = {function.__name__: function for function in (
    between, change, worst, mean, spearman, slower, differing, pairs, largest_effect, chance_reciprocal_rank,
    cosine_left, abs, min, max, sum, len, math.ceil)} | library_facts.FUNCTIONS


def evaluate(expression: str, tables: dict) -> float | str | Between:
    """The value of an expression over the tables, by simpleeval: numbers, names, comparisons and FUNCTIONS only.

    Raises ValueError with a reason where it names what is not there or does not compute.
    """
    from simpleeval import EvalWithCompoundTypes
    try:
        value = EvalWithCompoundTypes(names=tables, functions=FUNCTIONS).eval(expression)
    except Exception as error:
        raise ValueError(f"'{expression}' does not compute: {error}")
    if isinstance(value, (Between, str)):
        return value
    if isinstance(value, (bool, int, float, np.number)) and math.isfinite(value):
        return float(value)
    raise ValueError(f"'{expression}' is no figure: {value!r}")
