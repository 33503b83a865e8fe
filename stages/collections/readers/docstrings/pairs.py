"""Queries and passages of documentation strings: which are usable, which ask the same, which repeat each other."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from stages.collections.near_duplicates import normal, representatives
from stages.collections.readers.docstrings.harvest import Documented
from stages.collections.readers.docstrings.kinds import KINDS
from stages.collections.readers.docstrings.prose import summary_and_narrative
from stages.collections.source import Query, Source

PASSAGE_WORDS = 20, 110
QUERY_WORDS = 4, 25
OBJECTS_PER_TEXT = 4
JACCARD = 0.7
SUMMARY = "summary"

BOILERPLATE = re.compile(
    r"(deprecated|alias|same as|see |refer to|internal|helper|private|todo|undocumented|"
    r"placeholder|dummy|abstract|base class|constructor|initiali[sz]e self|copyright|docstring|"
    r"this (is|file|module|class|function|method))",
    re.IGNORECASE,
)
COMPARED = re.compile(
    r"\b(this|these|corresponding|equivalent) (functions?|methods?|class|routines?|distribution)\b|"
    r"\bsame (shape|size|length|d?type)\b|^(if|similar|equivalent|counterpart|as above|like)\b|\bdocumentation\b",
    re.IGNORECASE,
)
MARKUP = re.compile(r"[_`\\{}<>=$|#@\[\]^~*%]|\w\.\w|\w\(|::|\b[a-z]+[A-Z]|//")


def cut(narrative: Iterable[str]) -> str:
    """The first whole sentences, as many as fit in a passage."""
    passage, length = [], 0
    for sentence in narrative:
        length += len(sentence.split())
        if length > PASSAGE_WORDS[1]:
            break
        passage.append(sentence)
    return " ".join(passage)


def refusal(query: str, passage: str) -> str | None:
    """Why a summary and a narrative cannot be a query and its passage; None where they can."""
    words = len(re.findall(r"[\w']+", query))
    reasons = {
        "passage too short": len(passage.split()) < PASSAGE_WORDS[0],
        "query unfinished": query.endswith((":", ",", ";")),
        "query too short": words < QUERY_WORDS[0],
        "query too long": words > QUERY_WORDS[1],
        "query is boilerplate": BOILERPLATE.match(query),
        "query names code": MARKUP.search(query),
        "passage holds its query": normal(query) in normal(passage),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class Pair(NamedTuple):
    """A query of one kind and the passage of the object that it asks for."""

    item: Documented
    kind: str
    query: str
    passage: str


def pairs_of(objects: Sequence[Documented], asked: Iterable[str], dropped: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of each object in turn; a sentence that more than 4 objects share is left out of the passages.

    `asked` are the kinds of queries, "summary" and those of kinds.KINDS. A query of another kind than the summary must
    say what its object is, of no other object, and not in nearly the words of a query before it.
    """
    parsed = [summary_and_narrative(item.doc) for item in objects]
    common = Counter(sentence for _, narrative in parsed for sentence in set(narrative))
    passages = [cut(s for s in narrative if common[s] <= OBJECTS_PER_TEXT) for _, narrative in parsed]
    told: dict[str, list[tuple[int | None, str]]] = {
        kind: list(KINDS[kind](objects)) for kind in asked if kind in KINDS
    }
    told[SUMMARY] = list(enumerate(summary for summary, _ in parsed))
    said = Counter(text for _, text in {(number, normal(text)) for rows in told.values() for number, text in rows})
    found: list[list[Pair]] = [[] for _ in objects]
    for kind in asked:
        prefix = "" if kind == SUMMARY else f"{kind}: "
        for number, query in told[kind]:
            if number is None:
                dropped[f"{prefix}query of an unknown object"] += 1
                continue
            reason = refusal(query, passages[number])
            if kind != SUMMARY and not reason:
                reason = vague(query, said) or repeated(query, [pair.query for pair in found[number]])
            if reason:
                dropped[f"{prefix}{reason}"] += 1
            else:
                found[number].append(Pair(objects[number], kind, query, passages[number]))
    for pairs in found:
        yield from pairs


def vague(query: str, said: Counter[str]) -> str | None:
    """Why a query does not say which object is meant, given of how many objects each text is said; None if it does."""
    if said[normal(query)] > 1:
        return "query of several objects"
    return "query by comparison" if COMPARED.search(query) else None


def repeated(query: str, others: Iterable[str]) -> str | None:
    """Why a query is no evidence beside others for the same object: it has their words, or nearly; None if it is."""
    words = set(normal(query).split())
    alike = [len(words & own) / len(words | own) for own in (set(normal(other).split()) for other in others)]
    if max(alike, default=0.0) < JACCARD:
        return None
    return "query equal to another of its object" if 1.0 in alike else "query nearly another of its object"


def collect(
    objects: Iterable[Documented],
    shares: dict[str, int],
    dropped: Counter[str],
    origin: dict[str, str],
    asked: Iterable[str] = (SUMMARY,),
) -> Source:
    """Merge duplicates among the pairs and assign their clusters to the splits of `shares` (per cent of the clusters).

    A cluster is the modules that share a query or a passage, directly or through others.
    """
    pairs = list(pairs_of(list(objects), asked, dropped))
    doc_ids, query_ids = names_of(pairs)
    modules = [pair.item.module for pair in pairs]
    relevant, same = judged([pair.query for pair in pairs], [pair.passage for pair in pairs], dropped)
    clusters = Components()
    for asking in relevant:
        for row in asking:
            clusters.join(modules[asking[0]], modules[row])
            clusters.join(modules[asking[0]], modules[same[row]])
    queries = {}
    qrels: dict[str, list[tuple[str, str, int]]] = {split: [] for split in shares}
    for asking, positives in relevant.items():
        first = asking[0]
        cluster = clusters.name(modules[first])
        queries[query_ids[first]] = Query(pairs[first].query, cluster)
        qrels[split_of(cluster, shares)] += [(query_ids[first], doc_ids[row], 1) for row in positives]
    kept = {doc_ids[row]: pairs[row].passage for positives in relevant.values() for row in positives}
    dropped["passage merged or left without a query"] = len(set(doc_ids)) - len(kept)
    docs = ((name, kept[name]) for name in dict.fromkeys(doc_ids) if name in kept)
    return Source(docs, queries, qrels, {reason: n for reason, n in sorted(dropped.items()) if n}, origin)


def names_of(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """The id of the passage and of the query of each pair; pairs of one object, which follow each other, share one."""
    runs = [list(run) for _, run in groupby(pairs, key=lambda pair: id(pair.item))]
    objects = unique([run[0].item.name for run in runs])
    doc_ids = [name for name, run in zip(objects, runs, strict=True) for _ in run]
    kinds = ["" if pair.kind == SUMMARY else f":{pair.kind}" for pair in pairs]
    return doc_ids, unique([f"q:{name}{kind}" for name, kind in zip(doc_ids, kinds, strict=True)])


def judged(
    queries: list[str], passages: list[str], dropped: Counter[str]
) -> tuple[dict[tuple[int, ...], list[int]], list[int]]:
    """{pairs with equal queries: pairs whose passages are relevant to them}, and the pair each passage is merged into.

    Pairs are numbered in their order. The passage of a near duplicate is dropped and, unless others ask the same, so is
    its query: the passage that it resembles may answer something else.
    """
    same = representatives(passages, JACCARD)
    exact = [normal(passages[row]) == normal(passages[first]) for row, first in enumerate(same)]
    asking: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        asking.setdefault(normal(query), []).append(row)
    relevant = {}
    for text, rows in asking.items():
        positives = sorted({same[row] for row in rows if exact[row]})
        if len(rows) > OBJECTS_PER_TEXT:
            dropped["query of many objects"] += len(rows)
        elif not positives:
            dropped["query of a near duplicate"] += len(rows)
        elif any(text in normal(passages[row]) for row in positives):
            dropped["passage holds its query"] += len(rows)
        else:
            dropped["query equal to another's"] += len(rows) - 1
            relevant[tuple(rows)] = positives
    return relevant, same


def unique(names: list[str]) -> list[str]:
    """Leave out private parts of dotted names; number what is then equal: "a.b", "a.b#2"."""
    uses: Counter[str] = Counter()
    shortened = []
    for name in names:
        short = re.sub(r"(?<=\.)_(?!_)\w+\.", "", name)
        uses[short] += 1
        shortened.append(short if uses[short] == 1 else f"{short}#{uses[short]}")
    return shortened


def split_of(cluster: str, shares: dict[str, int]) -> str:
    """The split that a cluster's name falls into, by its sha256; shares sum to 100."""
    point = int(hashlib.sha256(cluster.encode()).hexdigest(), 16) % 100
    for split, share in shares.items():
        if point < share:
            return split
        point -= share
    raise AssertionError("the shares sum to 100")


class Components:
    """Names that were joined, directly or not; a component is called by its first name in the alphabet."""

    def __init__(self) -> None:
        self.above: dict[str, str] = {}

    def name(self, member: str) -> str:
        while (above := self.above.get(member, member)) != member:
            member = above
        return member

    def join(self, one: str, other: str) -> None:
        first, last = sorted([self.name(one), self.name(other)])
        self.above[last] = first
