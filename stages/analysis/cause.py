"""The cause study: what its questions ask of its runs, and what the runs answer."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from stages.analysis import geometry, sweeps
from stages.analysis.cause_abstract import Sentence
from stages.analysis.cause_questions import AT_DRIFT, Collection, Pair, Question, Questions
from stages.analysis.contrasts import NOT_RUN, Contrast, Setting, answer, setting
from stages.analysis.geometry import Correlation
from stages.analysis.study_runs import Runs, Source, VariantRuns
from stages.evaluation.comparison import BETTER, NO_DIFFERENCE, WORSE
from stages.params.report import Report

NO_COMMON_DRIFT = "no drift in common"


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question with its contrasts, and for each the sentence of the abstract that it bears on, or None."""

    ask: str
    expect: str
    answer: str
    contrasts: list[Contrast]
    bears_on: list[str | None]


@dataclass(frozen=True)
class VariantChange:
    """A variant against its base checkpoint; drift and last loss have a figure for each seed run, validation a mean."""

    variant: str
    base: str
    contrast: Contrast
    drift: list[float]
    loss: list[float]
    validation: dict[int, float]


@dataclass(frozen=True)
class Answers:
    """What the runs of one collection answer; without variants it was not run. `batch` counts triplets.

    `short` is its name within sentences.
    """

    title: str
    measure: str
    split: str
    questions: list[AnsweredQuestion]
    variants: list[VariantChange]
    geometry: dict[str, Correlation]
    sources: list[Source]
    steps: int | None = None
    batch: int | None = None
    short: str = ""

    @property
    def findings(self) -> dict[str, list[Contrast]]:
        """Sentence of the abstract -> the contrasts that bear on it."""
        found: dict[str, list[Contrast]] = {}
        for question in self.questions:
            for name, contrast in zip(question.bears_on, question.contrasts, strict=True):
                if name:
                    found.setdefault(name, []).append(contrast)
        return found


@dataclass(frozen=True)
class Studied:
    """The whole study: finding -> sentence of the abstract, collection -> its answers; and the level of its tests."""

    abstract: dict[str, Sentence]
    collections: dict[str, Answers]
    significance: float


def answers(runs: Runs | None, collection: Collection, questions: Questions, report: Report) -> Answers:
    """The questions of one collection answered from its runs; where there are none all are "not run"."""
    asked = questions.questions[collection.questions]
    not_run = Answers(
        title=collection.title,
        measure=collection.measure,
        split=collection.split,
        questions=[
            _answered(question, question.pairs, [_lacking(pair, NOT_RUN) for pair in question.pairs])
            for question in asked
        ],
        variants=[],
        geometry={},
        sources=[],
        short=collection.short,
    )
    if runs is None:
        return not_run
    here = setting(runs, collection.split, collection.measure, questions.base, report)
    trained = {name: variant for name, variant in runs.variants.items() if variant.seed_runs}
    first = next(iter(trained.values()))
    families = [
        [(pair, contrast) for pair in question.pairs for contrast in contrasts(runs, here, pair, collection, questions)]
        for question in asked
    ]
    return replace(
        not_run,
        questions=[
            _answered(question, [pair for pair, _ in family], here.judged([contrast for _, contrast in family]))
            for question, family in zip(asked, families, strict=True)
        ],
        variants=_changes(here, trained),
        geometry=_correlations(here, trained) if collection.geometry else {},
        sources=runs.sources,
        steps=next(iter(first.seed_runs.values())).steps,
        batch=first.batch,
    )


def contrasts(runs: Runs, here: Setting, pair: Pair, collection: Collection, questions: Questions) -> list[Contrast]:
    """A pair as contrasts that are not judged yet: one, or for two sweeps one at each drift that both reach."""
    sides = [questions.members(pair.variant), questions.members(pair.against)]
    if not {variant for side in sides for variant in side} <= here.values.keys():
        return [_lacking(pair, NOT_RUN)]
    if pair.variant.endswith(AT_DRIFT):
        drifts = sweeps.common_drifts(runs.variants, sides, questions.drifts)
        at_drifts = [
            here.contrast(
                f"{pair.says}, mean cosine to base {1 - drift:.3f}",
                *(sweeps.at_drift(here.values, runs.variants, side, drift) for side in sides),
            )
            for drift in drifts
        ]
        return at_drifts or [_lacking(pair, NO_COMMON_DRIFT)]
    choosing = runs.on(collection.choose or collection.split, collection.measure)
    names = [side[0] if len(side) == 1 else sweeps.best(choosing, side) for side in sides]
    chosen = [name for name, side in zip(names, sides, strict=True) if len(side) > 1]
    says = f"{pair.says} ({' against '.join(chosen)})" if chosen else pair.says
    return [here.contrast(says, *(here.values[name] for name in names))]


def as_json(studied: Studied) -> str:
    return json.dumps(asdict(studied), indent=1) + "\n"


def read(path: Path) -> Studied:
    """What the stage wrote to reports/cause.json."""
    return TypeAdapter(Studied).validate_json(path.read_bytes())


def _lacking(pair: Pair, reason: str) -> Contrast:
    return Contrast(pair.says, 0.0, lacking=reason)


def _answered(question: Question, pairs: Sequence[Pair], family: Sequence[Contrast]) -> AnsweredQuestion:
    """pairs has the pair that each contrast of the family comes from."""
    wanted = {WORSE, BETTER} if question.expect == "differ" else {question.expect}
    found = answer([contrast.verdict for contrast in family], wanted, (WORSE, BETTER, NO_DIFFERENCE))
    return AnsweredQuestion(
        question.words,
        question.expect,
        found,
        contrasts=[replace(contrast, late=question.asked_after is not None) for contrast in family],
        bears_on=[pair.finding for pair in pairs],
    )


def _changes(here: Setting, trained: dict[str, VariantRuns]) -> list[VariantChange]:
    """Every trained variant against its own base checkpoint, in per cent of that one's value; one family."""
    family = []
    for name, variant in trained.items():
        contrast = here.contrast(name, here.values[name], here.values[variant.base])
        family.append(replace(contrast, base=float(here.values[variant.base].mean())))
    return [
        VariantChange(
            variant=name,
            base=variant.base,
            contrast=contrast,
            drift=[round(float(drift), 4) for drift in variant.drifts],
            loss=[seed_run.last_loss for seed_run in variant.seed_runs.values()],
            validation=_validation(variant),
        )
        for (name, variant), contrast in zip(trained.items(), here.judged(family), strict=True)
    ]


def _validation(variant: VariantRuns) -> dict[int, float]:
    """Step -> RR@10 of the validation sample, the mean over the seed runs that have it."""
    steps: dict[int, list[float]] = {}
    for seed_run in variant.seed_runs.values():
        for step, value in seed_run.validation.items():
            steps.setdefault(step, []).append(value)
    return {step: round(sum(values) / len(values), 4) for step, values in sorted(steps.items())}


def _correlations(here: Setting, trained: dict[str, VariantRuns]) -> dict[str, Correlation]:
    """Rank correlation of each figure of the space (mean over seed runs) with the variant's change."""
    spaces: dict[str, dict[str, float | None]] = {}
    changes: dict[str, float] = {}
    for name, variant in trained.items():
        figures = [seed_run.geometry for seed_run in variant.seed_runs.values()]
        spaces[name] = {figure: sum(space[figure] for space in figures) / len(figures) for figure in figures[0]}
        changes[name] = float(here.values[name].mean() - here.values[variant.base].mean())
    return geometry.correlations(spaces, changes)
