"""Sizes of each corpus, what it was read from and what was left out of it."""

from collections.abc import Mapping

from stages.collections.canonical import Card
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Table
from stages.reporting.text import Items


def table(cards: Mapping[str, Card]) -> list[Block]:
    """A line for each split, what each corpus was read from, and how much was dropped or noted, by reason."""
    sizes = [
        [corpus, f"{card.documents:,}", split, *(f"{n:,}" for n in (own.queries, own.judgments, own.clusters))]
        for corpus, card in cards.items()
        for split, own in card.splits.items()
    ]
    reasons = [("dropped", why) for card in cards.values() for why in card.dropped]
    reasons += [("noted", why) for card in cards.values() for why in card.noted]
    counts = [
        [kind, why, *(_count(getattr(card, kind), why) for card in cards.values())]
        for kind, why in dict.fromkeys(reasons)
        if any(getattr(card, kind).get(why) for card in cards.values())
    ]
    return [
        Table(["corpus", "passages", "split", "queries", "judgments", "clusters"], sizes),
        Items(tuple(f"{corpus} was read from {card.read_from}." for corpus, card in cards.items())),
        *([Table(["what was done", "reason", *cards], counts)] if counts else []),
    ]


def _count(counts: Mapping[str, int], why: str) -> str:
    return f"{counts[why]:,}" if why in counts else NOTHING
