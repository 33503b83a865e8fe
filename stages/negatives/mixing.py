"""Two tables of triplets as one, in shares that every beginning of it holds."""

import numpy as np
import pyarrow as pa

PART = "part"


def named(triplets: pa.Table, block: str) -> pa.Table:
    """Triplets with the name of their block in the column `part`; those of a mix keep theirs."""
    if PART in triplets.column_names:
        return triplets
    return triplets.append_column(PART, pa.array([block] * len(triplets), pa.string()))


def mixed(first: pa.Table, second: pa.Table) -> pa.Table:
    """All rows of two tables, each in its order, with the columns that both have, in the order of the first's.

    Of the first n rows the first table has the share that it has of all, to the nearest whole row.
    """
    both = [name for name in first.column_names if name in second.column_names]
    share = len(first) / (len(first) + len(second))
    until = np.floor(np.arange(len(first) + len(second) + 1) * share + 0.5)
    is_first = np.diff(until) > 0
    order = np.empty(len(is_first), np.int64)
    order[is_first] = np.arange(len(first))
    order[~is_first] = len(first) + np.arange(len(second))
    return pa.concat_tables([first.select(both), second.select(both)]).take(pa.array(order))
