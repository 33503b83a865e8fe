"""What is in a collection, read once: passages stream by, and only ids, digests and a sample of them are kept."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np

from stages.collections import checks, language, near_duplicates, splits
from stages.collections.source import Query, Source
from stages.collections.splits import Grades
from stages.planning.counts import Split, asked_by_judges, asked_by_test, counted, present, relevance, without

SAMPLE = 2000  # passages that are looked at closely, and as many queries
DIGESTED = 1_000_000  # passages whose texts are compared with all others
PAIRS = 500  # queries of a split whose relevant passages are kept, to rank them
NEAR = 0.8  # Jaccard index of word shingles from which two texts are near duplicates
COMPARED = 50_000  # queries that are compared with each other


class Pair(NamedTuple):
    """A query with the texts of passages that are relevant to it."""

    query_id: str
    query: str
    relevant: list[str]


@dataclass(frozen=True)
class Facts:
    """A collection. Texts and queries are samples by a hash of ids, `paired` some queries of each split with passages.

    Judgments of passages that are not there or have no text (`absent`), and training queries that a measured split asks
    too (`also_judged`), are not among what is counted in `splits`.
    """

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
    paired: dict[str, list[Pair]] = field(repr=False)
    characters: float = 0.0
    absent: int = 0
    also_judged: int = 0
    asked_by_test: dict[str, int] = field(default_factory=dict)  # queries of a split that the judging one asks too

    @property
    def judged(self) -> dict[str, Split]:
        return {name: split for name, split in self.splits.items() if name != "train"}

    @property
    def pairs(self) -> list[Pair]:
        """Pairs to measure a model on: training queries where there are any, else of every split, PAIRS at most."""
        every = self.paired.get("train") or [pair for own in self.paired.values() for pair in own]
        return sorted(every, key=lambda pair: zlib.crc32(pair.query_id.encode()))[:PAIRS]


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

    Raises UserError where its judgments contradict themselves, or none names a passage that is there.
    """
    queries = {name: query for name, query in source.queries.items() if query.text.strip()}
    dropped: Counter[str] = Counter()
    grades = {split: splits.judgments(split, source, queries, dropped) for split in source.qrels if source.qrels[split]}
    asked = {query: queries[query] for own in grades.values() for query in own}
    pairs = {split: _paired(own) for split, own in grades.items()}
    judged = {doc for own in grades.values() for docs in own.values() for doc in docs}
    stream = _Passages(asked, judged, {doc for own in pairs.values() for docs in own.values() for doc in docs})
    for doc_id, text in source.docs:
        if text := text.strip():
            stream.take(doc_id, text)
    there = present(grades, stream.present)
    if stream.number and not any(own for split in there.values() for own in split.values()):
        for split, own in grades.items():
            splits.check_passages(split, own, stream.present)
    again = asked_by_judges(there, queries)
    there |= {"train": without(there["train"], again)} if again else {}
    digests = stream.digests()
    _, times = np.unique(digests, return_counts=True)
    texts = stream.sample.texts()
    of_queries = checks.digests(query.text for query in asked.values())
    found = language.detect(texts)
    return Facts(
        source=name,
        passages=stream.number,
        splits={split: counted(own) for split, own in there.items()},
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
        paired={split: stream.pairs(own, there[split]) for split, own in pairs.items()},
        absent=sum(doc not in stream.present for own in grades.values() for docs in own.values() for doc in docs),
        also_judged=len(again),
        asked_by_test=asked_by_test(there, queries),
        characters=stream.characters / max(1, stream.number),
    )


class _Passages:
    """What is kept of a stream of passages."""

    def __init__(self, asked: Mapping[str, Query], judged: set[str], wanted: set[str]) -> None:
        self.asked, self.judged, self.wanted = asked, judged, wanted
        self.present: set[str] = set()  # of the judged passages
        self.sample, self.found = Sample(SAMPLE), dict[str, str]()
        self.number = self.characters = self.shared = 0
        self.own_text: list[str] = []  # ids of queries that are the passage of that id, word for word
        self._parts: list[np.ndarray] = []
        self._batch: list[str] = []

    def take(self, doc_id: str, text: str) -> None:
        self.number += 1
        self.characters += len(text)
        self.sample.offer(doc_id, text)
        if doc_id in self.judged:
            self.present.add(doc_id)
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

    def pairs(self, wanted: Mapping[str, list[str]], kept: Container[str]) -> list[Pair]:
        """Of queries that are kept, with the texts of those wanted passages that are there."""
        there = {query: [self.found[doc] for doc in docs if doc in self.found] for query, docs in wanted.items()}
        return [Pair(query, self.asked[query].text, texts) for query, texts in there.items() if texts and query in kept]


def _paired(grades: Grades) -> dict[str, list[str]]:
    """Some queries of a split with the passages relevant to them, by a hash of their ids."""
    rel = relevance(counted(grades))[0]
    chosen = sorted(grades, key=lambda query: zlib.crc32(query.encode()))
    found = ((query, [doc for doc, grade in grades[query].items() if grade >= rel][:5]) for query in chosen)
    return dict(islice(((query, docs) for query, docs in found if docs), PAIRS))


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
