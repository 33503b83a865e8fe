"""Values of variants and their comparisons, as reports/results.json and reports/pairs.json keep it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stages.evaluation.comparison import Comparison, per_cent
from stages.params.report import Target


@dataclass(frozen=True)
class Result:
    """A variant's value on a target, the mean over its seed runs, and its comparison with the base.

    `spread` is the standard deviation over seed runs (None for one), `base` the base's value on the same queries, and
    `of` how many queries the base answered: more than the comparison's queries where a reranker saw a part of them.
    `comparison` is None for the base itself and where the base has no run. `unanswerable` counts the queries that have
    no relevant passage at all: they are in the mean with 0, as trec_eval has them.
    """

    variant: str
    corpus: str
    split: str
    measure: str
    value: float
    spread: float | None
    by_seed_run: dict[str, float]
    base: float | None = None
    of: int | None = None
    comparison: Comparison | None = None
    unanswerable: int = 0

    @property
    def target(self) -> Target:
        return Target(corpus=self.corpus, split=self.split, measure=self.measure)

    @property
    def on_part(self) -> bool:
        """Whether the variant was measured on a part of the queries, as a reranker is."""
        return self.comparison is not None and (self.of or 0) > self.comparison.queries

    def change(self, figure: str = "difference") -> float | None:
        """A figure of the comparison (difference, low, high, detectable) in per cent of the base.

        None where there is no such figure, or the base has 0.
        """
        value = getattr(self.comparison, figure) if self.comparison else None
        return None if value is None else per_cent(value, self.base)


@dataclass(frozen=True)
class Pair:
    """Two variants compared with each other on a target; `value` is the variant's, `base` that of `against`."""

    variant: str
    against: str
    corpus: str
    split: str
    measure: str
    value: float
    base: float
    comparison: Comparison

    @property
    def target(self) -> Target:
        return Target(corpus=self.corpus, split=self.split, measure=self.measure)

    def turned(self) -> "Pair":
        """The same pair seen from the other variant."""
        turned = replace(self, variant=self.against, against=self.variant, comparison=self.comparison.reversed())
        return replace(turned, value=self.base, base=self.value)

    def change(self, figure: str = "difference") -> float | None:
        """As a Result's, in per cent of the value of `against`."""
        value = getattr(self.comparison, figure)
        return None if value is None else per_cent(value, self.base)


def at(results: Iterable[Result], target: Target | None) -> dict[str, Result]:
    """Variant -> its result on a target; empty where there is no target."""
    return {result.variant: result for result in results if result.target == target}


def between(pairs: Iterable[Pair], target: Target, variant: str, against: str) -> Pair | None:
    """The comparison of two variants on a target, seen from the first; None where they were not compared there."""
    for pair in pairs:
        if pair.target == target and {pair.variant, pair.against} == {variant, against}:
            return pair if pair.variant == variant else pair.turned()
    return None


def read(path: Path) -> list[Result]:
    return [Result(**_with_comparison(entry)) for entry in json.loads(path.read_text())]


def read_pairs(path: Path) -> list[Pair]:
    return [Pair(**_with_comparison(entry)) for entry in json.loads(path.read_text())]


def as_json(entries: Sequence[Result | Pair]) -> str:
    return json.dumps([asdict(entry) for entry in entries], indent=1) + "\n"


def _with_comparison(entry: dict[str, Any]) -> dict[str, Any]:
    comparison = entry.get("comparison")
    return {**entry, "comparison": Comparison(**comparison) if comparison else None}
