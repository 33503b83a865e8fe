"""The queries that a variant gained and lost most against another, or against itself before."""

from dataclasses import dataclass

import numpy as np

from stages.evaluation.per_query import PerQuery

# Means over seeds that are added up in another order differ by less than this; no measure moves by as little.
NOTHING = 1e-12


@dataclass(frozen=True)
class QueryChange:
    """A query, its change in the measure's unit, and the rank of its first relevant passage before and after.

    Ranks are text, one for each seed run: "3", "3 / 1 / none" where a run does not have the passage, "–" if not known.
    """

    query_id: str
    before: str
    after: str
    change: float


def most_changed(before: PerQuery, after: PerQuery, count: int) -> tuple[list[QueryChange], list[QueryChange]]:
    """At most `count` queries that gained most, and as many that lost most, of two that `common` gave."""
    changes = after.values.mean(axis=0) - before.values.mean(axis=0)
    gained, lost = most(changes, count)
    of_query = [
        QueryChange(query, ranks_as_text(before.ranks_of(at)), ranks_as_text(after.ranks_of(at)), float(changes[at]))
        for at, query in enumerate(after.query_ids)
    ]
    return [of_query[at] for at in gained], [of_query[at] for at in lost]


def most(changes: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    """Positions of at most `count` queries that gained most, and of as many that lost most, the largest first.

    changes (queries,) are in the measure's unit. Equal ones keep their order; a query that neither
    gained nor lost is in neither list.
    """
    order = np.argsort(-np.abs(changes), kind="stable")
    gained = [int(at) for at in order if changes[at] > NOTHING]
    lost = [int(at) for at in order if changes[at] < -NOTHING]
    return gained[:count], lost[:count]


def ranks_as_text(ranks: np.ndarray | None) -> str:
    """The ranks (seed runs,) of a query's first relevant passage; rank 0 is a run that does not have it."""
    return "–" if ranks is None else " / ".join(str(rank) if rank else "none" for rank in ranks)
