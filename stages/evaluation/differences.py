"""Which queries a change helped and hurt most."""

import numpy as np

# Means over seeds that are added up in another order differ by less than this; no measure moves by as little.
NOTHING = 1e-12


def most(differences: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    """Indices of at most `count` queries that gained most, and of as many that lost most, the largest first.

    differences (queries,) are in the measure's unit. Equal ones stand in the order they came in; a query that neither
    gained nor lost is in neither list.
    """
    order = np.argsort(-np.abs(differences), kind="stable")
    gained = [int(at) for at in order if differences[at] > NOTHING]
    lost = [int(at) for at in order if differences[at] < -NOTHING]
    return gained[:count], lost[:count]


def ranks_as_text(ranks: np.ndarray | None, absent: str = "none") -> str:
    """The ranks (copies,) of a query's first relevant passage, one a seed: "3", "3 / 1 / none", "–" if not known.

    `absent` stands for rank 0, a run that does not have the passage.
    """
    if ranks is None:
        return "–"
    return " / ".join(str(rank) if rank else absent for rank in ranks)
