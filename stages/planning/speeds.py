"""How large a corpus is, and how fast a stage reads texts and trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stages.planning.measuring import Rates

REFERENCE = 6.0  # seconds that the machine of timing.FIXED took to load the libraries


@dataclass(frozen=True)
class Corpus:
    """Sizes of a corpus: its passages, the queries of each split, and mean tokens after the cut."""

    passages: int
    queries: Mapping[str, int]
    passage_tokens: float
    query_tokens: float

    @property
    def judged(self) -> int:
        return sum(number for split, number in self.queries.items() if split not in ("train", "validation"))


@dataclass(frozen=True)
class Speed:
    """Of one stage while others run beside it: tokens encoded and trained on a second, and how slow the rest is.

    `searched` are the pairs of a query and a passage of 384 numbers that exact search scores in a second, `costs` how
    many times as much a token costs by a checkpoint as by the model that was measured, where it is another one.
    """

    tokens: float
    query_tokens: float
    trained: float
    slowness: float
    searched: float = 2e8
    costs: Mapping[str, float] = field(default_factory=dict)

    def of(self, checkpoint: str) -> Speed:
        """The speed of the same machine with a checkpoint."""
        times = self.costs.get(checkpoint, 1.0)
        return replace(
            self, tokens=self.tokens / times, query_tokens=self.query_tokens / times, trained=self.trained / times
        )


OTHER = Corpus(1360, {"test": 1479}, 82.0, 16.0)  # the collection that variants are checked on out of domain


def speed(rates: Rates, means: Mapping[str, float]) -> Speed:
    """The speed of a stage from measured rates; means are the tokens of a query and of a passage, cut.

    Short stages wait for the disk and for each other as well, and get more of a busy machine than those that compute.
    Where nothing is trained nothing was measured of it, and `trained` says nothing.
    """
    triplet = means["query"] + 2 * means["passage"]
    return Speed(
        tokens=rates.passages * means["passage"] / rates.busy,
        query_tokens=rates.queries * means["query"] / rates.busy,
        trained=(1.0 if rates.triplets is None else rates.triplets) * triplet / rates.busy,
        slowness=rates.busy**0.5 * min(3.0, max(0.5, rates.load / REFERENCE)),
    )


def texts(corpus: Corpus, passages: float, queries: float, by: Speed) -> float:
    """Seconds to encode so many passages and queries of a corpus."""
    return passages * corpus.passage_tokens / by.tokens + queries * corpus.query_tokens / by.query_tokens
