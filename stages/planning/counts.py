"""The judgments of a split, counted from the grade that is decided, and which splits measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass

from stages.collections.source import Query
from stages.collections.splits import Grades, plain

DEVS = ("dev", "validation", "valid", "val", "development")
ENOUGH_TO_JUDGE = 100  # queries, below which a larger split judges where there is one


@dataclass(frozen=True)
class Split:
    """The judgments of one split. grades maps a grade to how often it is given; `none` counts queries without any.

    Positives are counted from the grade that `relevance` decides; `related` are the judgments from grade 1 up to it,
    which training takes as well, and `loosely` the queries that have such alone.
    """

    queries: int
    judgments: int
    grades: dict[int, int]
    positives: int
    none: int
    relevant: int  # different passages, from grade 1 on: no training takes one of a judged query for a negative
    related: int = 0
    loosely: int = 0

    @property
    def a_query(self) -> float:
        """Positives a query, of the queries that have one."""
        return self.positives / max(1, self.answered)

    @property
    def answered(self) -> int:
        """Queries with a positive."""
        return self.queries - self.none

    @property
    def pairs(self) -> int:
        """Pairs that can be trained on."""
        return self.positives + self.related

    @property
    def trainable(self) -> int:
        """Queries that can be trained on."""
        return self.answered + self.loosely


def relevance(split: Split) -> tuple[int, str]:
    """The grade from which a passage of a split is relevant, and why; the same for a split counted from it."""
    levels = {grade: number for grade, number in split.grades.items() if grade > 0}
    if not levels or max(levels) < 2:
        return 1, "its judgments say relevant or not"
    if max(levels) >= 3:
        high = sum(number for grade, number in levels.items() if grade >= 2)
        if 2 * high >= split.queries - split.none:
            return 2, f"grades reach {max(levels)}: as TREC has it, grade 1 is related and 2 is relevant"
    return 1, f"grades reach {max(levels)}: every positive grade is relevant, and nDCG@10 weighs them"


def counted(grades: Grades) -> Split:
    """A split, from the grade that its own grades decide."""
    found = _from(grades, 1)
    rel = relevance(found)[0]
    return found if rel == 1 else _from(grades, rel)


def _from(grades: Grades, rel: int) -> Split:
    levels = Counter(grade for own in grades.values() for grade in own.values())
    positive = {query: [doc for doc, grade in own.items() if grade >= rel] for query, own in grades.items()}
    weak = [query for query, own in grades.items() if any(1 <= grade < rel for grade in own.values())]
    return Split(
        queries=len(grades),
        judgments=levels.total(),
        grades=dict(sorted(levels.items())),
        positives=sum(map(len, positive.values())),
        none=sum(not docs for docs in positive.values()),
        relevant=len({doc for own in grades.values() for doc, grade in own.items() if grade >= 1}),
        related=sum(number for grade, number in levels.items() if 1 <= grade < rel),
        loosely=sum(not positive[query] for query in weak),
    )


def measuring(judged: Mapping[str, int], names: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """The dev split and the one that judges, of splits with so many queries; `names` are theirs in the source.

    `test` judges, else the largest that is no dev; none where dev is far larger and can be cut.
    """
    called = {**{name: name for name in judged}, **{name: own for name, own in (names or {}).items() if name in judged}}
    dev = next((name for wanted in DEVS for name in judged if wanted in (name, called[name])), None)
    if "test" in judged:
        return dev, "test"
    largest = max((name for name in judged if name != dev), key=lambda name: judged[name], default=None)
    if largest and dev and judged[largest] < ENOUGH_TO_JUDGE <= judged[dev]:
        return dev, None
    return dev, largest


def present(grades: Mapping[str, Grades], there: set[str]) -> dict[str, Grades]:
    """The judgments of passages that are there; a training query without one is left out, as a study does."""
    kept = {
        split: {query: {doc: grade for doc, grade in docs.items() if doc in there} for query, docs in own.items()}
        for split, own in grades.items()
    }
    if "train" in kept:
        kept["train"] = {query: docs for query, docs in kept["train"].items() if docs}
    return kept


def without(grades: Grades, queries: Container[str]) -> Grades:
    return {query: own for query, own in grades.items() if query not in queries}


def asked_by_judges(grades: Mapping[str, Grades], queries: Mapping[str, Query]) -> set[str]:
    """The training queries that a split asks too which is measured beside them: a study does not train on those."""
    judges = _measuring(grades)
    texts = {plain(queries[query].text) for split in judges if split for query in grades[split]}
    return {query for query in grades.get("train", {}) if plain(queries[query].text) in texts}


def _measuring(grades: Mapping[str, Grades]) -> tuple[str | None, str | None]:
    sizes = {split: counted(own).answered for split, own in grades.items() if split != "train"}
    return measuring({split: size for split, size in sizes.items() if size})


def asked_by_test(grades: Mapping[str, Grades], queries: Mapping[str, Query]) -> dict[str, int]:
    """Split -> how many of its queries the one that judges asks too, where there are any."""
    dev, test = _measuring(grades)
    texts = {plain(queries[query].text) for query in grades.get(test or dev or "", {})}
    of = {split: sum(plain(queries[query].text) in texts for query in own) for split, own in grades.items()}
    return {split: number for split, number in of.items() if number and split != (test or dev)}
