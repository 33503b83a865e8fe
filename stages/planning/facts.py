"""What is in a collection, read once: passages stream by, and only ids, digests and a sample of them are kept."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from stages.collections import checks, language, near_duplicates, splits
from stages.collections.source import Query, Source
from stages.collections.splits import Grades

SAMPLE = 2000  # passages that are looked at closely, and as many queries
DIGESTED = 1_000_000  # passages whose texts are compared with all others
PAIRS = 500  # queries whose relevant passages are kept, to rank them
NEAR = 0.8  # Jaccard index of word shingles from which two texts are near duplicates
COMPARED = 50_000  # queries that are compared with each other


@dataclass(frozen=True)
class Split:
    """The judgments of one split. grades maps a grade to how often it is given; `none` counts queries without any."""

    queries: int
    judgments: int
    grades: dict[int, int]
    positives: int
    none: int
    relevant: int  # different passages

    @property
    def a_query(self) -> float:
        """Positives a query, of the queries that have one."""
        return self.positives / max(1, self.queries - self.none)


class Pair(NamedTuple):
    """A query with the texts of passages that are relevant to it."""

    query_id: str
    query: str
    relevant: list[str]


@dataclass(frozen=True)
class Facts:
    """A collection. Texts and queries are samples by a hash of their ids, `pairs` queries with relevant passages."""

    source: str
    passages: int
    splits: dict[str, Split]
    language: str
    detected: bool
    duplicates: int
    compared: int
    near: int
    queries_that_are_passages: int
    shared_ids: int
    themselves: int
    in_several: int
    near_in_several: int
    texts: list[str] = field(repr=False)
    queries: list[str] = field(repr=False)
    pairs: list[Pair] = field(repr=False)
    characters: float = 0.0

    @property
    def judged(self) -> dict[str, Split]:
        return {name: split for name, split in self.splits.items() if name != "train"}


class Sample:
    """The `size` texts whose ids have the smallest hashes: the same ones however the source is ordered."""

    def __init__(self, size: int) -> None:
        self.size, self.limit = size, 1 << 32
        self.kept: list[tuple[int, str, str]] = []

    def offer(self, name: str, text: str) -> None:
        place = zlib.crc32(name.encode())
        if place < self.limit:
            self.kept.append((place, name, text))
            if len(self.kept) >= 2 * self.size:
                self._cut()

    def texts(self) -> list[str]:
        self._cut()
        return [text for _, _, text in self.kept]

    def _cut(self) -> None:
        self.kept = sorted(self.kept)[: self.size]
        if len(self.kept) == self.size:
            self.limit = self.kept[-1][0]


def read(source: Source, name: str) -> Facts:
    """Look at a source whose splits are under their names here; the passages are read once.

    Raises UserError where its judgments contradict themselves.
    """
    queries = {name: query for name, query in source.queries.items() if query.text.strip()}
    dropped: Counter[str] = Counter()
    grades = {split: splits.judgments(split, source, queries, dropped) for split in source.qrels if source.qrels[split]}
    asked = {query: queries[query] for own in grades.values() for query in own}
    pairs = _paired(grades)
    stream = _Passages(asked, {doc for docs in pairs.values() for doc in docs})
    for doc_id, text in source.docs:
        if text := text.strip():
            stream.take(doc_id, text)
    sizes, digests = {split: _split(own) for split, own in grades.items()}, stream.digests()
    _, times = np.unique(digests, return_counts=True)
    texts = stream.sample.texts()
    of_queries = checks.digests(query.text for query in asked.values())
    found = language.detect(texts)
    return Facts(
        source=name,
        passages=stream.number,
        splits=sizes,
        language=found or language.DEFAULT,
        detected=found is not None,
        duplicates=int(times[times > 1].sum()),
        compared=len(digests),
        near=_near(texts),
        queries_that_are_passages=int(np.isin(of_queries, digests).sum()),
        shared_ids=stream.shared,
        themselves=_themselves(stream.own_text, grades),
        in_several=splits.asked_in_several(grades.values(), queries),
        near_in_several=_near_in_several(grades, queries),
        texts=texts,
        queries=_sampled(asked),
        pairs=[
            Pair(query, queries[query].text, kept) for query, docs in pairs.items() if (kept := stream.texts_of(docs))
        ],
        characters=stream.characters / max(1, stream.number),
    )


class _Passages:
    """What is kept of a stream of passages."""

    def __init__(self, asked: Mapping[str, Query], wanted: set[str]) -> None:
        self.asked, self.wanted = asked, wanted
        self.sample, self.found = Sample(SAMPLE), dict[str, str]()
        self.number = self.characters = self.shared = 0
        self.own_text: list[str] = []  # ids of queries that are the passage of that id, word for word
        self._parts: list[np.ndarray] = []
        self._batch: list[str] = []

    def take(self, doc_id: str, text: str) -> None:
        self.number += 1
        self.characters += len(text)
        self.sample.offer(doc_id, text)
        if doc_id in self.wanted:
            self.found[doc_id] = text
        if doc_id in self.asked:
            self.shared += 1
            if splits.plain(self.asked[doc_id].text) == splits.plain(text):
                self.own_text.append(doc_id)
        if self.number <= DIGESTED:
            self._batch.append(text)
            if len(self._batch) == 10_000:
                self._digest()

    def _digest(self) -> None:
        self._parts.append(checks.digests(self._batch))
        self._batch = []

    def digests(self) -> np.ndarray:
        self._digest()
        return np.concatenate(self._parts)

    def texts_of(self, docs: Iterable[str]) -> list[str]:
        return [self.found[doc] for doc in docs if doc in self.found]


def _split(grades: Grades) -> Split:
    levels = Counter(grade for own in grades.values() for grade in own.values())
    positive = {query: [doc for doc, grade in own.items() if grade >= 1] for query, own in grades.items()}
    return Split(
        queries=len(grades),
        judgments=levels.total(),
        grades=dict(sorted(levels.items())),
        positives=sum(map(len, positive.values())),
        none=sum(not docs for docs in positive.values()),
        relevant=len({doc for docs in positive.values() for doc in docs}),
    )


def _paired(grades: Mapping[str, Grades]) -> dict[str, list[str]]:
    """Some queries with the passages relevant to them, by a hash of their ids; training queries where there are any."""
    every = {
        query: own for split in sorted(grades, key=lambda name: name == "train") for query, own in grades[split].items()
    }
    first = grades.get("train") or every
    chosen = sorted(first, key=lambda query: zlib.crc32(query.encode()))[:PAIRS]
    return {query: [doc for doc, grade in every[query].items() if grade >= 1][:5] for query in chosen}


def _sampled(asked: Mapping[str, Query]) -> list[str]:
    sample = Sample(SAMPLE)
    for name, query in asked.items():
        sample.offer(name, query.text)
    return sample.texts()


def _near(texts: list[str]) -> int:
    """How many texts of the sample nearly repeat another of it without being it."""
    whole = [splits.plain(text) for text in texts]
    alike = near_duplicates.representatives(whole, NEAR)
    return sum(first != at and whole[first] != whole[at] for at, first in enumerate(alike))


def _near_in_several(grades: Mapping[str, Grades], queries: Mapping[str, Query]) -> int:
    """How many query texts nearly repeat one of another split, equal texts aside."""
    owned = [(split, splits.plain(queries[query].text)) for split, query in _in_turn(grades)]
    alike = near_duplicates.representatives([text for _, text in owned], NEAR)
    return sum(owned[at][0] != owned[first][0] and owned[at][1] != owned[first][1] for at, first in enumerate(alike))


def _in_turn(grades: Mapping[str, Grades]) -> Iterator[tuple[str, str]]:
    """(split, query) of the smallest splits first, COMPARED of them at most."""
    left = COMPARED
    for split in sorted(grades, key=lambda name: len(grades[name])):
        for query in list(grades[split])[:left]:
            left -= 1
            yield split, query


def _themselves(own: list[str], grades: Mapping[str, Grades]) -> int:
    """How many queries are a passage themselves, by id and text, that nobody judged relevant to them."""
    return sum(any(query in split and query not in split[query] for split in grades.values()) for query in own)
