"""The sentences of the cause study's abstract: on which collections each holds, and where it was not tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stages.analysis import saturation
from stages.analysis.cause_questions import Collection, Finding, Questions
from stages.analysis.contrasts import NOT_RUN, Contrast
from stages.evaluation.comparison import BETTER, WORSE

ENOUGH_SEEDS = 3
OPPOSITE = {WORSE: BETTER, BETTER: WORSE}
State = Literal["holds", "holds in part", "opposite", "not shown", "not tried"]


@dataclass(frozen=True)
class Line:
    """How a line of the saturation study was drawn: over `levels` models, by a recipe of `steps` steps of `batch`.

    `over_values` is its rise over the levels' own values instead of their steps, not judged.
    """

    levels: int
    steps: int | None
    batch: int | None
    over_values: Contrast | None


@dataclass(frozen=True)
class Place:
    """What was compared for a sentence on one collection; nothing where it was not tried.

    `part` is that of the study, so that two splits of one have the same models. `seen` says that the base checkpoint's
    card names the collection among its training data. `line` is there where the contrast is a line.
    """

    collection: str
    part: str
    seen: bool
    state: State
    contrasts: list[Contrast]
    line: Line | None = None

    @property
    def seeds(self) -> int:
        """Over how many seeds the contrasts are, at the least; 0 where nothing was tried."""
        return min((one.comparison.seed_runs for one in self.contrasts if one.comparison), default=0)


@dataclass(frozen=True)
class Sentence:
    """A clause of the abstract; `places` has every collection of the study. `before` is a sentence to say before it."""

    says: str
    expect: str
    quoted: bool
    places: list[Place]
    before: str | None = None

    @property
    def contrasts(self) -> list[Contrast]:
        return [contrast for place in self.places for contrast in place.contrasts]

    def at(self, *states: State) -> list[Place]:
        return [place for place in self.places if place.state in states]

    @property
    def rests_on(self) -> list[Place]:
        """Where it holds over enough seeds."""
        return [place for place in self.at("holds") if place.seeds >= ENOUGH_SEEDS]

    @property
    def is_well_founded(self) -> bool:
        """Whether it holds on the first collection and on another one, over enough seeds on both."""
        return self.places[0] in self.rests_on and len({place.part for place in self.rests_on}) > 1


def sentences(
    questions: Questions,
    found: Mapping[str, Mapping[str, Sequence[Contrast]]],
    saturated: Mapping[str, saturation.Answers],
) -> dict[str, Sentence]:
    """Finding -> its sentence; found maps a collection to the judged contrasts of each finding there.

    Collections of one `short` are one place.
    """
    by_short: dict[str, list[str]] = {}
    for key, collection in questions.collections.items():
        by_short.setdefault(collection.short, []).append(key)
    return {
        name: Sentence(
            finding.says,
            finding.expect,
            quoted=finding.saturation is None,
            places=[
                _drawn(questions.collections[keys[0]], finding, [saturated[key] for key in keys if key in saturated])
                or _place(
                    questions.collections[keys[0]], finding, [one for key in keys for one in found[key].get(name, ())]
                )
                for keys in by_short.values()
            ],
            before=finding.before,
        )
        for name, finding in questions.abstract.items()
    }


def _drawn(collection: Collection, finding: Finding, studies: Sequence[saturation.Answers]) -> Place | None:
    """The judged line of the finding's recipe in the saturation study; None where it was not run."""
    for answers in studies if finding.saturation else ():
        for one in (one for question in answers.questions for one in question.findings):
            if one.growth and one.growth.recipe == finding.saturation:
                over = one.growth.over_values
                line = Line(len(one.growth.changes), answers.steps, answers.batch, over.rise if over else None)
                return replace(_place(collection, finding, [one.contrast]), line=line)
    return None


def _place(collection: Collection, finding: Finding, contrasts: Sequence[Contrast]) -> Place:
    tried = [contrast for contrast in contrasts if contrast.verdict != NOT_RUN]
    verdicts = [contrast.verdict for contrast in tried]
    hits = verdicts.count(finding.expect)
    state: State = "not shown"
    if not tried:
        state = "not tried"
    elif hits:
        state = "holds" if hits == len(contrasts) else "holds in part"
    elif OPPOSITE.get(finding.expect) in verdicts:
        state = "opposite"
    return Place(collection.short, collection.parts[0], collection.seen, state, tried)
