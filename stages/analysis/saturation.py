"""The saturation study: whether a recipe degrades a checkpoint more, the longer that was trained before."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from stages.analysis import study_runs
from stages.analysis.contrasts import Contrast, answer, setting
from stages.analysis.saturation_findings import KINDS, Asked, Finding, mean
from stages.analysis.saturation_questions import DENIED, WANTED, Collection, Question, Questions
from stages.analysis.study_runs import Runs, Source
from stages.core.errors import UserError
from stages.params.report import Report


@dataclass(frozen=True)
class AnsweredQuestion:
    ask: str
    kind: str
    answer: str
    findings: list[Finding]


@dataclass(frozen=True)
class LevelValue:
    """A checkpoint that recipes start from: its training, its value, and its contrast with the base."""

    level: str
    trained_from: str | None
    steps: int
    last_loss: float | None
    value: float
    known: float | None
    contrast: Contrast | None


@dataclass(frozen=True)
class VariantAtLevel:
    """A recipe applied to a level, against that level and against the base; drift is from the level."""

    recipe: str
    level: str
    steps: int
    value: float
    drift: float
    against_level: Contrast
    against_base: Contrast

    @property
    def variant(self) -> str:
        return f"{self.recipe}_{self.level}"


@dataclass(frozen=True)
class Answers:
    """What the runs of one collection answer; without levels it was not run. `batch` counts triplets."""

    title: str
    measure: str
    split: str
    known: str | None
    levels: list[LevelValue]
    variants: list[VariantAtLevel]
    questions: list[AnsweredQuestion]
    source: Source | None
    steps: int | None = None
    batch: int | None = None


def read(folder: Path, part: str) -> Runs | None:
    """A part's runs; None where it has not been run.

    Raises UserError where variants of one seed were trained on unlike triplets: only their checkpoints may differ.
    """
    runs = study_runs.read(folder, [part])
    draws: dict[str, set[str]] = {}
    for variant in runs.variants.values() if runs else ():
        for name, seed_run in variant.seed_runs.items():
            draws.setdefault(name, set()).add(seed_run.triplets)
    for name, triplets in draws.items():
        if len(triplets) > 1:
            raise UserError(
                f"{folder / part}.json: variants of {name} were trained on {len(triplets)} draws of triplets; run the "
                "part again from one commit"
            )
    return runs


def answers(runs: Runs | None, collection: Collection, questions: Questions, report: Report) -> Answers:
    """The questions of one collection answered from its runs; all is empty where there are none."""
    not_run = Answers(
        collection.title,
        questions.measure,
        collection.split,
        collection.known,
        levels=[],
        variants=[],
        questions=[],
        source=None,
    )
    if runs is None:
        return not_run
    here = setting(runs, collection.split, questions.measure, questions.base, report)
    known = runs.on(collection.known, questions.measure) if collection.known else {}
    asked = Asked(runs, here, questions, collection, known)
    tuned = [variant for variant in runs.variants.values() if variant.seed_runs]
    return replace(
        not_run,
        levels=level_values(asked),
        variants=variants(asked),
        questions=[_answered(asked, question) for question in questions.questions],
        source=runs.sources[0],
        steps=next(iter(tuned[0].seed_runs.values())).steps if tuned else None,
        batch=tuned[0].batch if tuned else None,
    )


def level_values(asked: Asked) -> list[LevelValue]:
    """Every checkpoint that recipes start from; the contrasts with the base are one family."""
    base, measured = asked.questions.base, [level for level in asked.runs.levels if level in asked.here.values]
    others = [level for level in measured if level != base]
    judged = asked.here.judged([asked.compared(level, level, base) for level in others])
    contrasts = dict(zip(others, judged, strict=True))
    return [
        LevelValue(
            level,
            **asdict(asked.runs.levels[level]),
            value=mean(asked.here.values[level]),
            known=mean(asked.known[level]) if asked.known else None,
            contrast=contrasts.get(level),
        )
        for level in measured
    ]


def variants(asked: Asked) -> list[VariantAtLevel]:
    """Every recipe at every level, against that level and against the base; each side is one family."""
    levels = [*asked.questions.ladder, *asked.questions.beside]
    made = [(recipe, level) for recipe in asked.questions.recipes for level in levels]
    made = [(recipe, level) for recipe, level in made if f"{recipe}_{level}" in asked.here.values]
    names = [f"{recipe}_{level}" for recipe, level in made]
    own, base = (
        asked.here.judged([asked.compared(name, name, against) for name, against in zip(names, side, strict=True)])
        for side in ([level for _, level in made], [asked.questions.base] * len(made))
    )
    return [
        VariantAtLevel(
            recipe,
            level,
            asked.runs.levels[level].steps,
            value=mean(asked.here.values[name]),
            drift=round(float(asked.runs.variants[name].drifts.mean()), 6),
            against_level=against_level,
            against_base=against_base,
        )
        for (recipe, level), name, against_level, against_base in zip(made, names, own, base, strict=True)
    ]


def as_json(answers: dict[str, Answers]) -> str:
    return json.dumps({name: asdict(entry) for name, entry in answers.items()}, indent=1) + "\n"


def read_answers(path: Path) -> dict[str, Answers]:
    """Collection -> its answers, from reports/saturation.json."""
    return TypeAdapter(dict[str, Answers]).validate_json(path.read_bytes())


def _answered(asked: Asked, question: Question) -> AnsweredQuestion:
    findings, kind = KINDS[question.kind](asked, question), question.kind
    verdicts = [finding.contrast.verdict for finding in findings]
    return AnsweredQuestion(question.ask, kind, answer(verdicts, {WANTED[kind]}, DENIED[kind]), findings)
