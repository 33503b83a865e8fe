"""What is known of two variants on the same queries: the difference, how far it could be chance, and the verdict."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from stages.core.rounding import rounded

BETTER, WORSE, NO_DIFFERENCE, CANNOT_TELL = "better", "worse", "no difference", "cannot tell"
VERDICTS = (BETTER, WORSE, NO_DIFFERENCE, CANNOT_TELL)


@dataclass(frozen=True)
class Comparison:
    """The mean over queries of a variant's value minus another's, in the measure's unit.

    `low` and `high` are the ends of the interval, `detectable` the minimum detectable effect at 80 % power (None where
    it has none). `better`, `worse` and `equal` count queries; `seed_runs` says over how many seed runs they are means.
    `p_family` is p corrected over the family that it is judged in (see judge), None before that.
    """

    difference: float
    low: float
    high: float
    p: float
    detectable: float | None
    better: int
    worse: int
    equal: int
    queries: int
    clusters: int
    seed_runs: int
    p_family: float | None = None
    verdict: str | None = None

    def reversed(self) -> "Comparison":
        """The same comparison seen from the other variant."""
        turned = {BETTER: WORSE, WORSE: BETTER}.get(self.verdict or "", self.verdict)
        ends = replace(self, difference=-self.difference, low=-self.high, high=-self.low, verdict=turned)
        return replace(ends, better=self.worse, worse=self.better)

    def rounded(self) -> "Comparison":
        """With floats rounded, so that equal runs write equal bytes."""
        return Comparison(**rounded(asdict(self)))


def judge(family: Sequence[Comparison], significance: float, margins: Sequence[float]) -> list[Comparison]:
    """The comparisons of one family, each with its Holm-corrected p and its verdict.

    `margins` has for each comparison the largest difference that counts as none, in the measure's unit.
    """
    corrected = holm([comparison.p for comparison in family])
    return [
        replace(comparison, p_family=p, verdict=verdict(comparison, p, significance, margin))
        for comparison, p, margin in zip(family, corrected, margins, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of one family, corrected so that any is a false finding with a chance below significance (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected.tolist()


def verdict(comparison: Comparison, p: float, significance: float, margin: float) -> str:
    """worse, better, no difference (beyond `margin`, in the measure's unit), or cannot tell.

    worse and better ask for p < significance. No difference asks that the whole interval is within the margin
    (Schuirmann 1987), and still do so when 3 / queries is added at both ends: what none of n queries showed may yet
    happen in up to 3 of n (the rule of three, Hanley and Lippman-Hand 1983), and can move a mean by as much. A single
    cluster cannot tell anything.
    """
    if comparison.clusters < 2:
        return CANNOT_TELL
    if p < significance:
        return WORSE if comparison.difference < 0 else BETTER
    unseen = 3 / comparison.queries
    within = -margin < comparison.low - unseen and comparison.high + unseen < margin
    return NO_DIFFERENCE if within else CANNOT_TELL


def per_cent(value: float, base: float | None) -> float | None:
    """A figure in per cent of the base's value; None where that is 0, of which nothing is a per cent, or not known."""
    return 100 * value / base if base else None
