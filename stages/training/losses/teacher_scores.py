"""The scores of a teacher, or of a pool, as labels, which the losses distill-kl and margin-mse are fed."""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from stages.core.errors import UserError

Labels = Callable[[np.ndarray, list[np.ndarray]], list[np.ndarray]]


def fed(triplets: pa.Table, query: str, kind: str, labels: Labels) -> pa.Table:
    """(`query`, positive, negative[, negative_2 ...], label), one row a triplet whose passages all have a score.

    labels(positive scores, scores of each negative), all (n,) of float64, gives the numbers of a label: one is a plain
    number in the table, several are a list. Raises UserError for triplets without scores; `kind` is the loss.
    """
    negatives = [name for name in triplets.column_names if re.fullmatch(r"negative(_\d+)?", name)]
    names = ["positive_score", *(name.replace("negative", "negative_score") for name in negatives)]
    if missing := [name for name in names if name not in triplets.column_names]:
        raise UserError(
            f"the loss {kind} needs triplets with a teacher's or a pool's scores, and these have no {min(missing)}; "
            f"name a block of scored, or draw their negatives from pools/<name>"
        )
    positive, *others = (_numbers(triplets[name]) for name in names)
    made = np.column_stack(labels(positive, others))
    label = pa.array(made[:, 0]) if made.shape[1] == 1 else pa.array(list(made), pa.list_(pa.float64()))
    texts = {
        query: triplets["anchor"],
        "positive": triplets["positive"],
        **{name: triplets[name] for name in negatives},
    }
    return pa.table({**texts, "label": label}).filter(pa.array(np.isfinite(made).all(axis=1)))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Scores (n,) in float64, nan where there is none."""
    return column.cast(pa.float64()).to_numpy()
