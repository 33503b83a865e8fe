"""What each fine-tuned variant moved, and how its loss and validation went."""

from collections.abc import Mapping, Sequence

from stages.params.tuning import ENOUGH_MOVED
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import strong
from stages.reporting.training_logs import RERANKED, VALIDATED, SeedRun, TrainingLog


def training(logs: Mapping[str, TrainingLog]) -> Table:
    """One line for each seed run."""
    heads = [
        "variant",
        "seed",
        "training steps",
        "weights trained",
        "% of all weights",
        "tensors changed",
        "% of trained weights that moved",
        "first loss",
        "last loss",
        "validation before training",
        "best validation",
        "validation of the kept weights",
    ]
    lines = [_line(name, run) for name, log in logs.items() for run in log.seed_runs]
    note = (
        f"Validation is {VALIDATED} on a small fixed sample of validation queries (of a reranker the reciprocal rank "
        "among the few candidates of each). It shows when a model gets worse, not by how much."
    )
    return Table(heads, lines, [note, *warnings(logs)])


def warnings(logs: Mapping[str, TrainingLog]) -> list[str]:
    """What training warned of, a sentence for each variant and thing: weights, layers and triplets left alone."""
    sentences = []
    for name, log in logs.items():
        runs = log.seed_runs
        moved = [run.moved for run in runs if run.moved is not None]
        if moved and min(moved) < ENOUGH_MOVED:
            sentences.append(
                f"Of the weights of {name} that were to be trained, only {100 * min(moved):.1f} % moved at all: its "
                f"result says little about this kind of tuning. A higher learning rate, or more steps, would tell."
            )
        if kinds := sorted({kind for run in runs for kind in run.untouched}):
            sentences.append(f"The {' and '.join(kinds)} layers of {name} were not trained.")
        if left_out := sum(run.left_out for run in runs):
            read = sum(run.read for run in runs)
            mean = sum(run.mean_batch for run in runs) / len(runs)
            sentences.append(
                f"{name} read {read:,} triplets, {mean:.1f} a batch, and left out {left_out:,}: no text may be twice "
                f"in a batch of its loss."
            )
    return sentences


def _line(variant: str, run: SeedRun) -> list[str]:
    losses = list(run.by_step("loss").values())
    curve = run.by_step(VALIDATED) or run.by_step(RERANKED)
    validated = [NOTHING] * 3
    if curve:
        first, *_, last = curve if len(curve) > 1 else [*curve] * 2
        kept = last if run.best_step is None else run.best_step
        validated = [f"{value:.3f}" for value in (curve[first], max(curve.values()), curve.get(kept, curve[last]))]
    return [
        variant,
        f"{run.seed}",
        f"{run.steps:,}",
        f"{run.trainable:,}",
        f"{100 * run.trainable / run.total:.3f}",
        f"{run.changed} of {run.tensors}",
        NOTHING if run.moved is None else f"{100 * run.moved:.1f}",
        f"{losses[0]:.3f}",
        f"{losses[-1]:.3f}",
        *validated,
    ]


def interpolations(logs: Mapping[str, TrainingLog]) -> Table | None:
    """Validation at each alpha that was tried, with the one that was taken in bold; None where nothing is interpolated.

    Lines of variants that tried other alphas have – where they did not.
    """
    tried = [(log.variant, entry) for log in logs.values() for entry in log.between]
    if not tried:
        return None
    alphas = sorted({alpha for _, entry in tried for alpha in entry.by_alpha})
    lines: list[Sequence[Cell]] = []
    for variant, entry in tried:
        shown: dict[float, Cell] = {alpha: f"{value:.3f}" for alpha, value in entry.by_alpha.items()}
        shown[entry.alpha] = strong(f"{entry.by_alpha[entry.alpha]:.3f}")
        lines.append([variant, entry.seed_run, *(shown.get(alpha, NOTHING) for alpha in alphas)])
    note = f"Validation {VALIDATED} at each alpha: 0 is the base checkpoint, 1 the fine-tuned variant; bold was taken."
    return Table(["interpolation", "seed run", *(f"alpha {alpha:g}" for alpha in alphas)], lines, [note])


def steps_to_quality(one: TrainingLog, other: TrainingLog) -> str:
    """Training steps after which each of two variants first ranked validation as well as both came to rank it.

    – where one was not validated, or they were by different measures.
    """
    measure = next((name for name in (VALIDATED, RERANKED) if one.validation(name)), VALIDATED)
    curves = [log.validation(measure) for log in (one, other)]
    if not all(curves):
        return NOTHING
    quality = min(max(curve.values()) for curve in curves)
    steps = [next(step for step, value in curve.items() if value >= quality) for curve in curves]
    return f"{steps[0]} against {steps[1]} ({quality:.3f})"
