"""Contrasts of the controlled studies: two sides compared, families judged, and what the verdicts on a question say."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stages.analysis.study_runs import Runs
from stages.evaluation import comparison, significance
from stages.evaluation.comparison import Comparison, per_cent
from stages.params.report import Report

NOT_RUN = "not run"


@dataclass(frozen=True)
class Contrast:
    """Two sides compared; `base` is the value that per cents are of. Without a comparison `lacking` says why.

    `late` says that it was asked for after runs had been read.
    """

    says: str
    base: float
    comparison: Comparison | None = None
    lacking: str | None = None
    late: bool = False

    @property
    def verdict(self) -> str:
        return (self.comparison.verdict if self.comparison else self.lacking) or ""

    def rounded(self) -> "Contrast":
        """With floats rounded, so that equal runs write equal bytes."""
        compared = self.comparison.rounded() if self.comparison else None
        return replace(self, base=round(self.base, 6), comparison=compared)

    def reworded(self, verdict: Callable[[Comparison], str]) -> "Contrast":
        """With another verdict on the judged comparison; one without a comparison stays as it is."""
        compared = self.comparison and replace(self.comparison, verdict=verdict(self.comparison))
        return replace(self, comparison=compared)

    def change(self, figure: str = "difference") -> float | None:
        """A figure of the comparison (difference, low, high, detectable) in per cent of the base; None for none."""
        value = getattr(self.comparison, figure) if self.comparison else None
        return None if value is None else per_cent(value, self.base)


@dataclass(frozen=True, eq=False)
class Setting:
    """One split and measure: values of variants (seed runs, queries), clusters (queries,), and the base's mean."""

    values: dict[str, np.ndarray]
    clusters: np.ndarray
    base: float
    report: Report

    def contrast(self, says: str, variant: np.ndarray, against: np.ndarray) -> Contrast:
        """Two sides (seed runs, queries), in per cent of the base and not judged yet."""
        compared = significance.compare(
            variant, against, self.clusters, self.report.significance, self.report.resamples
        )
        return Contrast(says, self.base, compared)

    def judged(self, contrasts: Sequence[Contrast]) -> list[Contrast]:
        """The contrasts of one family with their verdicts, rounded; one without a comparison stays as it is."""
        compared = [contrast for contrast in contrasts if contrast.comparison]
        family = [contrast.comparison for contrast in contrasts if contrast.comparison]
        margins = [self.margin(contrast) for contrast in compared]
        verdicts = iter(comparison.judge(family, self.report.significance, margins))
        return [
            replace(contrast, comparison=next(verdicts)).rounded() if contrast.comparison else contrast
            for contrast in contrasts
        ]

    def margin(self, contrast: Contrast) -> float:
        """The largest difference that counts as none, in the measure's unit."""
        return self.report.margin / 100 * contrast.base


def setting(runs: Runs, split: str, measure: str, base: str, report: Report) -> Setting:
    """The runs on a split by a measure; `base` is the variant whose mean per cents are of."""
    values = runs.on(split, measure)
    return Setting(values, runs.clusters[split], float(values[base].mean()), report)


def answer(verdicts: Sequence[str], wanted: Collection[str], decided: Collection[str]) -> str:
    """Yes, No, In k of n, Not shown or Not run: what the verdicts on a question's contrasts amount to.

    Yes where all are wanted; No where none is wanted and all are decided, that is, in `decided`.
    """
    if all(verdict == NOT_RUN for verdict in verdicts):
        return "Not run"
    hits = sum(verdict in wanted for verdict in verdicts)
    if hits:
        return "Yes" if hits == len(verdicts) else f"In {hits} of {len(verdicts)}"
    return "No" if set(verdicts) <= set(decided) else "Not shown"
