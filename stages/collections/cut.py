"""One judged split of a source cut into several, whole clusters of queries at a time, as a corpus's `shares` say."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stages.collections import near_duplicates
from stages.collections.source import Query, Source
from stages.collections.splits import plain, sha256
from stages.core.errors import UserError
from stages.params.corpora import Corpus

ALIKE = 0.8  # Jaccard index from which two queries are near duplicates
LARGEST = 0.2  # of the queries in one cluster; beyond it, shared passages say nothing about a query


def by_shares(source: Source, corpus: Corpus) -> Source:
    """A source in which splits that were read from one split of it hold their shares of that, in relation.

    Queries of a cluster are in one split, and their `cluster` says which it is. Raises UserError where there are too
    few clusters for a split to get one.
    """
    for splits in corpus.cuts.values():
        shares = {split: share for split, share in (corpus.shares or {}).items() if split in splits}
        source = _cut(source, shares, corpus.shares_seed)
    return source


def _cut(source: Source, shares: dict[str, int], seed: int) -> Source:
    """A source with one of its splits cut into these, which are all of it as they come."""
    rows = source.qrels[next(iter(shares))]
    queries = [name for name in dict.fromkeys(query for query, _, _ in rows) if name in source.queries]
    texts = [source.queries[name].text for name in queries]
    relevant: dict[str, list[str]] = {name: [] for name in queries}
    for query, passage, grade in rows:
        if grade >= 1 and query in relevant:
            relevant[query].append(passage)
    of = dict(zip(queries, clusters(texts, [relevant[name] for name in queries]), strict=True))
    split_of = assigned(of, shares, seed)
    named = {name: Query(query.text, of.get(name, query.cluster)) for name, query in source.queries.items()}
    cut = {split: [row for row in rows if split_of.get(row[0]) == split] for split in shares}
    return replace(source, queries=named, qrels={**source.qrels, **cut})


def clusters(texts: Sequence[str], relevant: Sequence[Iterable[str]]) -> list[str]:
    """The cluster of each query, named by the text of its first one.

    Two queries are in one where their texts are equal or near duplicates, or where a passage is relevant to both. Where
    shared passages would put more than LARGEST of all into one cluster, texts alone count.
    """
    firsts = near_duplicates.representatives([plain(text) for text in texts], ALIKE)
    by_text = _joined(firsts, [])
    joined = _joined(firsts, relevant)
    largest = max(Counter(joined).values(), default=0)
    chosen = joined if largest <= max(LARGEST * len(texts), max(Counter(by_text).values(), default=0)) else by_text
    return [plain(texts[number]) or str(number) for number in chosen]


def assigned(cluster_of: dict[str, str], shares: dict[str, int], seed: int) -> dict[str, str]:
    """Query -> split: clusters in the order of the sha256 of seed and name fill one split's share after the other."""
    sizes = Counter(cluster_of.values())
    ends, reached = {}, 0
    for split, share in shares.items():
        reached += share
        ends[split] = reached * len(cluster_of) / sum(shares.values())
    placed: dict[str, str] = {}
    before = 0
    for cluster in sorted(sizes, key=lambda name: sha256(f"{seed} {name}")):
        middle = before + sizes[cluster] / 2
        placed[cluster] = next((split for split, end in ends.items() if middle < end), [*shares][-1])
        before += sizes[cluster]
    if empty := [split for split in shares if split not in placed.values()]:
        raise UserError(
            f"shares: {len(sizes)} clusters of queries leave none for {' and '.join(empty)}; name fewer splits, or "
            f"measure on all of them"
        )
    return {query: placed[cluster] for query, cluster in cluster_of.items()}


def _joined(firsts: Sequence[int], relevant: Sequence[Iterable[str]]) -> list[int]:
    """For each query the first one that it is connected with, by its text or by passages relevant to both."""
    parent = list(range(len(firsts)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    owner: dict[str, int] = {}
    for number, first in enumerate(firsts):
        join(number, first)
    for number, passages in enumerate(relevant):
        for passage in passages:
            join(number, owner.setdefault(passage, number))
    return [root(number) for number in range(len(firsts))]
