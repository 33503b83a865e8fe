"""Growth along a ladder of checkpoints: the rise of a line through a recipe's change at each of them."""

import numpy as np

from stages.core.errors import UserError
from stages.evaluation.comparison import BETTER, CANNOT_TELL, WORSE, Comparison

GROWS, DOES_NOT_GROW = "grows", "does not grow"
GROWS_LESS, GROWS_MORE = "grows less", "grows more"


def scale(steps: list[int]) -> np.ndarray:
    """log2(1 + training steps) of each level, (levels,)."""
    return np.log2([1 + count for count in steps])


def changes(values: dict[str, np.ndarray], recipe: str, levels: list[str]) -> np.ndarray | None:
    """A recipe's values minus those of the checkpoint that it was applied to, (levels, seed runs, queries).

    The variant of a recipe at a level is called <recipe>_<level>. None where one of them was not run.
    """
    if not {*levels, *(f"{recipe}_{level}" for level in levels)} <= values.keys():
        return None
    return np.stack([values[f"{recipe}_{level}"] - values[level] for level in levels])


def weights(at: np.ndarray) -> np.ndarray:
    """What each level counts in the rise of the least-squares line over `at`, from its lowest to its highest value.

    The rise is sum(weights x changes); the weights sum to 0. Raises UserError where all levels are alike.
    """
    apart = at - at.mean()
    if not apart.any():
        raise UserError("ladder: all its levels are alike, and no line goes through them; name levels that differ")
    return np.ptp(at) * apart / (apart**2).sum()


def rise(changes: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The rise of each query's line, (seed runs, queries), of changes (levels, seed runs, queries).

    Below 0 the change goes down along the ladder: degradation grows.
    """
    return np.tensordot(weights(at), changes, axes=1)


def unseen(at: np.ndarray, queries: int) -> float:
    """How far what none of n queries showed could move a line's rise.

    It may happen in 3 of n (see comparison.verdict), and moves the rise by as much as the weights add up to.
    """
    return float(np.abs(weights(at)).sum() * 3 / queries)


def grows(judged: Comparison, unseen: float, margin: float) -> str:
    """grows, does not grow, or cannot tell: the verdict on a judged rise.

    Degradation grows where the rise is significantly below 0. It does not where the rise is significantly above 0, or
    the interval's lower end less `unseen` is still above -margin.
    """
    if judged.clusters < 2:
        return CANNOT_TELL
    if judged.verdict in (WORSE, BETTER):
        return GROWS if judged.verdict == WORSE else DOES_NOT_GROW
    return DOES_NOT_GROW if judged.low - unseen > -margin else CANNOT_TELL


def grows_less(judged: Comparison) -> str:
    """grows less, grows more, or cannot tell: a recipe's rise against another's."""
    return {BETTER: GROWS_LESS, WORSE: GROWS_MORE}.get(judged.verdict or "", CANNOT_TELL)
