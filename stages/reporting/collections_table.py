"""Sizes of each corpus, what it was read from and what was left out of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.reporting.markdown import Block
from stages.reporting.table import Table
from stages.reporting.text import Items


@dataclass(frozen=True)
class Card:
    """What `download` recorded of a corpus: `origin` names its sources and their versions or hashes, `fingerprint` is
    the sha256 of its texts; splits is split -> figure -> value; `dropped` and `noted` count texts by reason.
    """

    documents: int
    origin: Mapping[str, str]
    fingerprint: str
    splits: Mapping[str, Mapping[str, Any]]
    dropped: Mapping[str, int]
    noted: Mapping[str, int]

    @property
    def read_from(self) -> str:
        return ", ".join(f"{name} {version[:12]}" for name, version in self.origin.items())


def cards(corpora: Path, names: Iterable[str]) -> dict[str, Card]:
    """Corpus -> its card, from data/corpora."""
    found = {}
    for name in names:
        stored = json.loads((corpora / name / "card.json").read_text())
        found[name] = Card(**{field: stored[field] for field in Card.__dataclass_fields__})
    return found


def table(cards: Mapping[str, Card]) -> list[Block]:
    """A line for each split, and below it what each corpus was read from and lost."""
    lines, notes = [], []
    for corpus, card in cards.items():
        for split, figures in card.splits.items():
            counts = [f"{figures[name]:,}" for name in ("queries", "judgments", "clusters")]
            lines.append([corpus, f"{card.documents:,}", split, *counts])
        notes.append(f"{corpus} was read from {card.read_from}.")
        for kind in ("dropped", "noted"):
            notes += [f"{corpus}, {kind}: {why}: {count:,}" for why, count in getattr(card, kind).items() if count]
    return [Table(["corpus", "passages", "split", "queries", "judgments", "clusters"], lines), Items(tuple(notes))]
