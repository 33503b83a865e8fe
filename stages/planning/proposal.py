"""Which variants fit into the hours: taken in their order while the study's estimate stays below them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stages import params
from stages.core import yaml_file
from stages.planning import space, timing
from stages.planning import study as planned
from stages.planning.speeds import Corpus, Speed
from stages.planning.study import Choices

PIPELINE = Path("dvc.yaml")
NEEDS = dict.fromkeys(
    ("in-batch-mix", "in-batch-searched", "hybrid-tuned", "seeds", "out_of_domain"), ("in-batch-hard",)
)
ROOM = 0.7  # of the hours, which the first fine-tuned variant may fill; beyond it, it is trained on less
FEWEST = 8  # steps of training


@dataclass(frozen=True)
class Proposal:
    """A study: its choices, its blocks, the seconds of each stage and of the whole, and what was left out and why."""

    choices: Choices
    blocks: dict[str, Any]
    each: dict[str, float]
    seconds: float
    disk: dict[str, float]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Machine:
    """What stages run on. `dimension` and `weights` (MB) are the model's."""

    jobs: int
    speed: Speed
    dimension: int
    weights: float


def proposed(
    choices: Choices, corpora: Mapping[str, Corpus], machine: Machine, seconds: float, english: bool
) -> Proposal:
    """The study that holds as many variants as fit into so many seconds, the most telling first."""
    pipeline = yaml_file.load(PIPELINE)
    best = _timed(choices, corpora, machine, pipeline)
    left_out: dict[str, str] = {}
    for name, why in planned.possible(choices, english).items():
        lacking = next((other for other in NEEDS.get(name, ()) if other not in best.choices.chosen), None)
        if why or lacking:
            left_out[name] = why or f"it needs {lacking}"
            continue
        tried = _timed(best.choices.with_variants([*best.choices.chosen, name]), corpora, machine, pipeline)
        if name == "in-batch-hard":
            tried = _trained_less(tried, corpora, machine, pipeline, seconds)
        if tried.seconds <= seconds:
            best = tried
        else:
            more = tried.seconds - best.seconds
            left = duration(max(0, seconds - best.seconds))
            left_out[name] = f"it would take {duration(more)} more, and the study has {left} left"
    return replace(best, left_out=left_out)


def _trained_less(
    tried: Proposal, corpora: Mapping[str, Corpus], machine: Machine, pipeline: dict, seconds: float
) -> Proposal:
    """The same with half the triplets, again and again, until it leaves room."""
    while tried.seconds > ROOM * seconds and (training := tried.choices.training):
        steps = training.steps // 2
        if steps < FEWEST:
            break
        why = {**training.why, "size": f"{steps} steps of {training.batch}: more would not leave room in the hours"}
        less = replace(training, size=steps * training.batch, why=why)
        tried = _timed(replace(tried.choices, training=less), corpora, machine, pipeline)
    return tried


def _timed(choices: Choices, corpora: Mapping[str, Corpus], machine: Machine, pipeline: dict) -> Proposal:
    filled = planned.blocks(choices)
    study = params.parse(filled)
    there = {name: corpora[name] for name in study.corpora}
    each = {
        name: max(0.5, seconds)
        for name, seconds in timing.seconds(study, filled, pipeline, there, machine.speed).items()
    }
    whole = timing.whole(filled, pipeline, each, machine.jobs)
    size = space.disk(study, there, machine.dimension, machine.weights)
    return Proposal(choices, filled, each, whole, size, {})


def kinds(each: Mapping[str, float]) -> dict[str, tuple[int, float, float]]:
    """Kind of stage -> how many there are, the seconds of the longest, and of all together, longest first."""
    found: dict[str, list[float]] = {}
    for name, seconds in each.items():
        found.setdefault(name.partition("@")[0], []).append(seconds)
    ordered = sorted(found, key=lambda kind: -sum(found[kind]))
    return {kind: (len(found[kind]), max(found[kind]), sum(found[kind])) for kind in ordered}


def duration(seconds: float) -> str:
    from stages.running.console import duration as spelled

    return spelled(seconds)
