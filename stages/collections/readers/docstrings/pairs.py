"""Queries and passages of documentation strings: which are usable, which ask the same, which repeat each other."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from stages.collections.near_duplicates import normal, representatives
from stages.collections.readers.docstrings.harvest import Documented
from stages.collections.readers.docstrings.prose import summary_and_narrative
from stages.collections.source import Query, Source

PASSAGE_WORDS = 20, 110
QUERY_WORDS = 4, 25
OBJECTS_PER_TEXT = 4
JACCARD = 0.7

BOILERPLATE = re.compile(
    r"(deprecated|alias|same as|see |refer to|internal|helper|private|todo|undocumented|"
    r"placeholder|dummy|abstract|base class|constructor|initiali[sz]e self|copyright|docstring|"
    r"this (is|file|module|class|function|method))",
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


def pairs_of(objects: Iterable[Documented], dropped: Counter[str]) -> Iterator[tuple[Documented, str, str]]:
    """Yield (object, query, passage); a sentence that more than 4 objects share is left out of the passages."""
    parsed = [(item, *summary_and_narrative(item.doc)) for item in objects]
    common = Counter(sentence for _, _, narrative in parsed for sentence in set(narrative))
    for item, query, narrative in parsed:
        passage = cut(sentence for sentence in narrative if common[sentence] <= OBJECTS_PER_TEXT)
        reason = refusal(query, passage)
        if reason:
            dropped[reason] += 1
        else:
            yield item, query, passage


def collect(
    objects: Iterable[Documented], shares: dict[str, int], dropped: Counter[str], origin: dict[str, str]
) -> Source:
    """Merge duplicates among the pairs and assign their clusters to the splits of `shares` (per cent of the clusters).

    A cluster is the modules that share a query or a passage, directly or through others.
    """
    pairs = list(pairs_of(objects, dropped))
    names = unique([item.name for item, _, _ in pairs])
    modules = [item.module for item, _, _ in pairs]
    relevant, same = judged([query for _, query, _ in pairs], [passage for _, _, passage in pairs], dropped)
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
        queries[f"q:{names[first]}"] = Query(pairs[first][1], cluster)
        qrels[split_of(cluster, shares)] += [(f"q:{names[first]}", names[row], 1) for row in positives]
    kept = sorted({row for positives in relevant.values() for row in positives})
    dropped["passage merged or left without a query"] = len(pairs) - len(kept)
    docs = ((names[row], pairs[row][2]) for row in kept)
    return Source(docs, queries, qrels, {reason: n for reason, n in sorted(dropped.items()) if n}, origin)


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
