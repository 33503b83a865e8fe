"""Sizes of each corpus, what it was read from and what was left out of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.collections import canonical
from stages.collections.canonical import Card
from stages.reporting.markdown import Block
from stages.reporting.table import Table
from stages.reporting.text import Items


def cards(corpora: Path, names: Iterable[str]) -> dict[str, Card]:
    """Corpus -> its card, from data/corpora."""
    return {name: canonical.card(corpora / name) for name in names}


def table(cards: Mapping[str, Card]) -> list[Block]:
    """A line for each split, and below it what each corpus was read from and lost."""
    lines, notes = [], []
    for corpus, card in cards.items():
        for split, sizes in card.splits.items():
            counts = [f"{number:,}" for number in (sizes.queries, sizes.judgments, sizes.clusters)]
            lines.append([corpus, f"{card.documents:,}", split, *counts])
        notes.append(f"{corpus} was read from {card.read_from}.")
        for kind in ("dropped", "noted"):
            notes += [f"{corpus}, {kind}: {why}: {count:,}" for why, count in getattr(card, kind).items() if count]
    return [Table(["corpus", "passages", "split", "queries", "judgments", "clusters"], lines), Items(tuple(notes))]
