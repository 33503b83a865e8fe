"""The trials of a search by Optuna: the same at the same seed, also when the search was killed and goes on.

Each trial has a sampler of its own, seeded by the search's seed and the trial's number: what it proposes depends on
the trials before it alone and not on what was drawn in this process. A trial that was running when the search was
killed is forgotten and proposed again, with the same number and so the same values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stages.core import fingerprint
from stages.params.searches import Axis, Searched, Value

if TYPE_CHECKING:
    import optuna

DRAWN = 1 / 3  # of the trials are drawn at random before the sampler (TPE) learns from them
DIGITS = 3
FEWEST = 4  # trials that are whole before one is ended early
Ends = Callable[[Mapping[int, float]], bool]


@dataclass(frozen=True)
class Trial:
    """One setting that was tried: values by place, and validation by step of training.

    `value` is what trials are compared by; None where training was ended early, since at the same step half of the
    trials before it had been better (pruned).
    """

    number: int
    params: dict[str, Value]
    state: Literal["complete", "pruned"]
    value: float | None
    curve: dict[int, float]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "curve": {str(step): value for step, value in self.curve.items()}}


@dataclass(frozen=True)
class Outcome:
    """What a trial's training came to: validation by step, and the value; None for one that was ended early."""

    curve: Mapping[int, float]
    value: float | None


def search(
    block: Searched,
    first: Mapping[str, Value] | None,
    journal: Path,
    run: Callable[[int, dict[str, Value], Ends], Outcome],
) -> list[Trial]:
    """All trials of a search, by number; `journal` keeps those that are finished.

    `first` is what trial 0 tries; None leaves it to the sampler. run(number, values, ends) trains one setting and asks
    `ends`, given validation by step so far, whether to end there. A setting that was tried is not trained again.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _opened(block, journal)
    distributions = {place: _distribution(axis) for place, axis in block.space.items()}
    while len(study.trials) < block.trials and not _is_over(study, block.hours):
        number = len(study.trials)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=max(FEWEST, round(DRAWN * block.trials)), seed=_seed(block.seed, number)
        )
        if number == 0 and first:
            study.enqueue_trial(dict(first))
        trial = study.ask(distributions)
        values = _values(trial, block)
        same = next((one for one in study.trials[:number] if _values(one, block) == values), None)
        ends = Reporting(trial)
        outcome = _again(same) if same else run(number, values, ends)
        ends(outcome.curve)
        if outcome.value is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, outcome.value)
    return [_trial(one, block) for one in study.trials]


def best(trials: list[Trial]) -> Trial:
    """The whole trial with the largest value, the first of equals."""
    return max((one for one in trials if one.value is not None), key=lambda one: (one.value, -one.number))


def _opened(block: Searched, journal: Path) -> optuna.Study:
    """The study of a journal, or a new one, without a trial that never finished; its journal is written anew."""
    import optuna

    name = "search"
    finished: list[optuna.trial.FrozenTrial] = []
    if journal.exists():
        known = optuna.load_study(study_name=name, storage=_storage(journal))
        finished = [trial for trial in known.trials if trial.state.is_finished()]
    draft = journal.with_suffix(".draft")
    for leftover in journal.parent.glob(f"{draft.name}*"):
        leftover.unlink()
    pruner = optuna.pruners.MedianPruner(n_startup_trials=FEWEST) if block.pruner == "median" else None
    written = optuna.create_study(study_name=name, storage=_storage(draft), direction="maximize")
    written.add_trials(finished)
    os.replace(draft, journal)
    for leftover in [*journal.parent.glob(f"{draft.name}*"), *journal.parent.glob(f"{journal.name}.*")]:
        leftover.unlink()
    return optuna.load_study(study_name=name, storage=_storage(journal), pruner=pruner or optuna.pruners.NopPruner())


def _storage(journal: Path) -> optuna.storages.BaseStorage:
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    return JournalStorage(JournalFileBackend(str(journal)))


def _seed(seed: int, number: int) -> int:
    """The seed of a trial's sampler, below 2**32."""
    return int(fingerprint.of_values(seed, number)[:8], 16)


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if axis.choices is not None:
        return distributions.CategoricalDistribution(axis.choices)
    if axis.low is None or axis.high is None:
        raise ValueError("a range has both ends")
    if axis.whole:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


@dataclass(frozen=True)
class Reporting:
    """Reports what was not reported before to Optuna, and says whether to end the trial at the last step given.

    It can be pickled: another process writes to the same journal.
    """

    trial: optuna.Trial

    def __call__(self, curve: Mapping[int, float]) -> bool:
        reported = self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values
        new = [step for step in sorted(curve) if step and step not in reported]
        for step in new:
            self.trial.report(curve[step], step)
        return bool(new) and self.trial.should_prune()


def _is_over(study: optuna.Study, hours: float | None) -> bool:
    """Whether the trials so far, at least one, took that long."""
    spent = sum(trial.duration.total_seconds() for trial in study.trials if trial.duration)
    return hours is not None and any(trial.value is not None for trial in study.trials) and spent >= hours * 3600


def _values(trial: optuna.Trial | optuna.trial.FrozenTrial, block: Searched) -> dict[str, Value]:
    """What a trial tries by place, in the order of the space; of numbers with a fraction DIGITS digits count."""
    values = {place: trial.params[place] for place in block.space}
    return {
        place: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for place, value in values.items()
    }


def _again(trial: optuna.trial.FrozenTrial) -> Outcome:
    """What the same setting came to before; of a pruned trial Optuna takes its last figure for its value."""
    return Outcome(trial.intermediate_values, trial.value if trial.state.name == "COMPLETE" else None)


def _trial(trial: optuna.trial.FrozenTrial, block: Searched) -> Trial:
    outcome = _again(trial)
    state: Literal["complete", "pruned"] = "pruned" if outcome.value is None else "complete"
    return Trial(trial.number, _values(trial, block), state, outcome.value, dict(outcome.curve))
