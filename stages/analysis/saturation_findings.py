"""What the runs of the saturation study say to each kind of question."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stages.analysis import ladder
from stages.analysis.contrasts import NOT_RUN, Contrast, Setting
from stages.analysis.saturation_questions import Collection, Question, Questions
from stages.analysis.study_runs import Runs
from stages.core.rounding import rounded


@dataclass(frozen=True)
class OverValues:
    """The rise of the line over the levels' own values on another split, from the lowest to the highest."""

    split: str
    lowest: float
    highest: float
    rise: Contrast


@dataclass(frozen=True)
class Growth:
    """A recipe's line in the measure's unit: its rise for a doubling of steps, and the change at each level.

    `unseen` is how far queries that were not asked could move the rise (see ladder.unseen).
    """

    recipe: str
    a_doubling: float
    changes: list[float]
    unseen: float
    over_values: OverValues | None


@dataclass(frozen=True)
class Finding:
    """A contrast that answers a question; for `floor` with the values of both its sides and of the base."""

    contrast: Contrast
    growth: Growth | None = None
    values: list[float] | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """A collection's runs with what is asked of them; `known` has the levels' values on the other split."""

    runs: Runs
    here: Setting
    questions: Questions
    collection: Collection
    known: dict[str, np.ndarray]

    @property
    def steps(self) -> np.ndarray:
        """The training steps of the ladder's levels on their scale, (levels,)."""
        return ladder.scale([self.runs.levels[level].steps for level in self.questions.ladder])

    def changes(self, recipe: str) -> np.ndarray | None:
        return ladder.changes(self.here.values, recipe, self.questions.ladder)

    def compared(self, says: str, variant: str, against: str) -> Contrast:
        """Two variants, not judged yet; a contrast without a comparison where one was not run."""
        values = self.here.values
        if not {variant, against} <= values.keys():
            return Contrast(says, self.here.base, lacking=NOT_RUN)
        return self.here.contrast(says, values[variant], values[against])

    def names(self, pair: tuple[str, str]) -> str:
        return f"{self.questions.recipes[pair[0]]}, against {self.questions.recipes[pair[1]]}"


def growth(asked: Asked, question: Question) -> list[Finding]:
    """How each recipe's degradation grows along the ladder, with its verdict."""
    findings = [_growth(asked, recipe) for recipe in question.growth]
    judged = asked.here.judged([finding.contrast for finding in findings])
    return [
        replace(finding, contrast=_worded(asked, contrast, finding.growth))
        for finding, contrast in zip(findings, judged, strict=True)
    ]


def less_growth(asked: Asked, question: Question) -> list[Finding]:
    """Of each pair of recipes the growth of the first against that of the second."""
    family = []
    for pair in question.less_growth:
        one, other = (asked.changes(recipe) for recipe in pair)
        if one is None or other is None:
            family.append(Contrast(asked.names(pair), asked.here.base, lacking=NOT_RUN))
        else:
            family.append(_rise(asked, asked.names(pair), one - other, asked.steps))
    return [Finding(contrast.reworded(ladder.grows_less)) for contrast in asked.here.judged(family)]


def last_level(asked: Asked, question: Question) -> list[Finding]:
    """Of each pair of recipes the one against the other, at the last level of the ladder."""
    level = asked.questions.ladder[-1]
    family = [
        asked.compared(asked.names(pair), *(f"{recipe}_{level}" for recipe in pair)) for pair in question.last_level
    ]
    return [Finding(contrast) for contrast in asked.here.judged(family)]


def floor(asked: Asked, question: Question) -> list[Finding]:
    """Of each pair a trained level against the checkpoint that it was trained from, and both values."""
    judged = asked.here.judged([asked.compared(f"{one} against {two}", one, two) for one, two in question.floor])
    return [
        Finding(
            contrast,
            values=[mean(asked.here.values[name]) for name in (*pair, asked.questions.base)]
            if contrast.comparison
            else None,
        )
        for pair, contrast in zip(question.floor, judged, strict=True)
    ]


KINDS: dict[str, Callable[[Asked, Question], list[Finding]]] = {
    "growth": growth,
    "less_growth": less_growth,
    "last_level": last_level,
    "floor": floor,
}


def _growth(asked: Asked, recipe: str) -> Finding:
    """A recipe's growth, not judged yet."""
    says, changes = asked.questions.recipes[recipe], asked.changes(recipe)
    if changes is None:
        return Finding(Contrast(says, asked.here.base, lacking=NOT_RUN))
    over_values = None
    if asked.collection.known:
        own = np.array([asked.known[level].mean() for level in asked.questions.ladder])
        rise = _rise(asked, says, changes, own).rounded()
        over_values = OverValues(asked.collection.known, rounded(own.min()), rounded(own.max()), rise)
    growth = Growth(
        recipe=recipe,
        a_doubling=rounded(ladder.rise(changes, asked.steps).mean() / np.ptp(asked.steps)),
        changes=rounded(list(changes.mean(axis=(1, 2)))),
        unseen=rounded(ladder.unseen(asked.steps, changes.shape[-1])),
        over_values=over_values,
    )
    return Finding(_rise(asked, says, changes, asked.steps), growth)


def _rise(asked: Asked, says: str, changes: np.ndarray, at: np.ndarray) -> Contrast:
    rise = ladder.rise(changes, at)
    return asked.here.contrast(says, rise, np.zeros_like(rise))


def _worded(asked: Asked, contrast: Contrast, growth: Growth | None) -> Contrast:
    unseen = growth.unseen if growth else 0.0
    return contrast.reworded(lambda judged: ladder.grows(judged, unseen, asked.here.margin(contrast)))


def mean(values: np.ndarray) -> float:
    """The mean over seed runs and queries, rounded."""
    return round(float(values.mean()), 6)
