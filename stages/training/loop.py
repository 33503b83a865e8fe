"""The training of one seed run, retriever or reranker: the trainer's arguments, an early end, resumption, the log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stages.core import costs
from stages.core.errors import UserError
from stages.core.files import publish
from stages.params.tuning import ENOUGH_MOVED
from stages.training import attention, batches, gpu, optimizers, processes, seed_runs, tuning, validation, weights
from stages.training.seed_runs import SeedRun
from stages.training.validation import Points

if TYPE_CHECKING:
    import torch
    from sentence_transformers.base.trainer import BaseTrainer
    from transformers import TrainerCallback, TrainingArguments

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
LOGGED = {"loss": "loss", "learning_rate": "lr", "RR@10": "RR@10", "RR of 5": "RR of 5"}


@dataclass(frozen=True)
class Prepared:
    """A trainer that is ready, the validation points that it takes, and how many triplets or pairs its rows hold.

    `model` is what is deployed, where that is another object of the same weights than the one that is trained.
    """

    trainer: BaseTrainer
    points: Points
    examples: int
    model: Any = None


def _unchecked(model: Any, folder: Path) -> None:
    """No check of a model's folder."""


def train(
    run: SeedRun,
    work: Path,
    prepare: Callable[[SeedRun, Path], Prepared],
    deployed: Callable[[Any, SeedRun, Path], Any],
    check: Callable[[Any, Path], None] = _unchecked,
) -> None:
    """Train one seed run in a workspace; work/model and then work/finished.json appear when it is whole.

    `prepare(run, work)` makes the trainer, on a model of which exactly the weights that the tuning names are trainable.
    `deployed(model, run, folder)` gives the trained model as it is used, and may write an adapter into the folder.
    `check(model, folder)` raises UserError where the folder does not give that model back.
    Training goes on from the newest checkpoint in the workspace, and then ends with the same bytes. Where the run names
    several processes, all of this is done in new ones, and the functions can be pickled.
    """
    if run.processes == 1:
        _train(run, work, prepare, deployed, check)
    else:
        what = f"{run.variant}, seed {run.seed}"
        processes.start(run.processes, what, _train, run, work, prepare, deployed, check)


def _train(
    run: SeedRun,
    work: Path,
    prepare: Callable[[SeedRun, Path], Prepared],
    deployed: Callable[[Any, SeedRun, Path], Any],
    check: Callable[[Any, Path], None],
) -> None:
    """As `train`, in one of the processes that share each batch; the first one validates and writes."""
    clock = costs.Clock()
    prepared = prepare(run, work)
    trainer, model = prepared.trainer, prepared.trainer.model
    attention.fit(model)
    before = weights.snapshot(model)
    trainable, total = _count(run, model)
    untouched = _untouched(run, model)
    sizes = batches.planned(run, trainer)
    processes.share(trainer, sizes)
    resumed = tuning.resumed(trainer, run.tuning, last_checkpoint(work))
    weights.require_space(run, work, trainable, total)
    loading = clock.lap()
    with gpu.watched(gpu.reader(model.device)) as gpu_figures:
        trainer.train(resume_from_checkpoint=resumed)
    seconds = clock.lap()
    processes.check_same(model, run.variant)
    if not processes.is_first():
        return
    moved = _moved(run, model, before)
    best = prepared.points.finish(trainer.state, model)
    steps = trainer.state.global_step
    rows = sum(sizes[step_of(resumed) if resumed else 0 : steps])
    rate = rows * prepared.examples / len(trainer.train_dataset) / seconds
    figures = {"load_seconds": loading, "train_seconds": seconds, "steps": steps, "resumed": bool(resumed)}
    figures |= {"trainable": trainable, "total": total, "examples_per_second": rate, **gpu_figures}
    costs.record("train", f"{run.variant}.seed-{run.seed}", **figures)
    shutil.rmtree(work / "model", ignore_errors=True)
    made = deployed((prepared.model or model).eval(), run, work / "model")
    seed_runs.write_model(made, run, work / "model")
    check(made, work / "model")
    finished: dict[str, Any] = {"seed": run.seed, "trainable": trainable, "total": total, **moved}
    finished |= {"untouched": untouched, "steps": steps, **batches.read(sizes[:steps], trainer)}
    finished |= {**tuning.said(made), "log": by_step(trainer.state.log_history)}
    with publish(work / "finished.json") as draft:
        draft.write_text(json.dumps(finished if best is None else {**finished, "best_step": best}))
    shutil.rmtree(work / "trainer", ignore_errors=True)


def _count(run: SeedRun, model: Any) -> tuple[int, int]:
    """Trainable and all parameters of a model, which are printed tower by tower."""
    for tower, (trainable, total) in weights.count_by_tower(model).items():
        of = f"{total:,} parameters" + (f" of the {tower} tower" if tower else "")
        click.echo(
            f"{run.variant}, seed {run.seed}: {trainable:,} of {of} are trained ({100 * trainable / total:.3f} %)"
        )
    return weights.count(model)


def _untouched(run: SeedRun, model: Any) -> list[str]:
    """The kinds of modules after the transformer whose weights are not trained, which are printed."""
    kinds = weights.untouched(model)
    if kinds:
        click.echo(f"{run.variant}, seed {run.seed}: the {' and '.join(kinds)} layers stay as they are")
    return kinds


def _moved(run: SeedRun, model: Any, before: dict[str, torch.Tensor]) -> dict[str, Any]:
    """{"tensors": how many, "changed": how many of them did, "moved": the share of the trainable elements that did}.

    A share below ENOUGH_MOVED is a warning, which the report repeats.
    """
    changed, share = weights.changed(model, before), weights.moved_share(model, before)
    click.echo(
        f"{run.variant}: {len(changed)} of {len(before)} tensors changed, {100 * share:.1f} % of what is trained"
    )
    if share < ENOUGH_MOVED:
        click.echo(
            f"warning: {run.variant}, seed {run.seed}: only {100 * share:.1f} % of the trained weights moved at all; "
            f"the learning rate (lr) may be too small for them, or training too short",
            err=True,
        )
    return {"tensors": len(before), "changed": len(changed), "moved": round(share, 6)}


def on_cpu(model: Any, run: SeedRun) -> bool:
    """Whether a model is trained on the CPU; raises UserError for float16 there."""
    if model.device.type != "cpu":
        return False
    if run.recipe.precision == "float16":
        raise UserError(f"{run.variant}: its recipe has precision float16, which needs a GPU; use bfloat16 or float32")
    return True


def arguments(run: SeedRun, work: Path, use_cpu: bool) -> dict[str, Any]:
    """Keywords of the trainer's arguments that a seed run decides.

    The trainer builds the schedule itself, on the optimizer that it trains with. It is that of all `epochs` of the
    recipe, also where `stop` ends sooner.
    """
    recipe = run.recipe
    return {
        "output_dir": str(work / "trainer"),
        "num_train_epochs": recipe.epochs,
        "seed": run.seed,
        "data_seed": run.seed,
        "per_device_train_batch_size": recipe.batch,
        "learning_rate": run.tuning.lr,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.clip,
        "warmup_steps": recipe.warmup,
        "lr_scheduler_type": SCHEDULES[recipe.schedule],
        "use_cpu": use_cpu,
        "bf16": recipe.precision == "bfloat16",
        "fp16": recipe.precision == "float16",
        "save_strategy": "steps" if processes.is_first() else "no",
        "save_total_limit": 1,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "report_to": "none",
        "dataloader_pin_memory": not use_cpu,
    }


def on_one_device(arguments: TrainingArguments) -> TrainingArguments:
    """The trainer's arguments for one device, however many there are: more would make other batches and fewer steps."""
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def parts(run: SeedRun, work: Path, points: Points) -> dict[str, Any]:
    """Keywords of the trainer itself that a seed run decides: its callbacks and its optimizer."""
    return {
        "callbacks": [
            *([validation.callback(points)] if processes.is_first() else []),
            stopping(run.recipe.stop),
            *tuning.callbacks(run.tuning, last_checkpoint(work)),
        ],
        "optimizer_cls_and_kwargs": optimizers.chosen(run.tuning, run.recipe.weight_decay),
    }


def stopping(epochs: int | None) -> TrainerCallback:
    """A trainer callback that ends training after so many epochs; None lets it run to its end.

    It keeps the trainer from writing a checkpoint at the last step, from which a resumed run would go one step on.
    """
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if epochs and epochs < state.num_train_epochs and state.epoch >= epochs:
                control.should_training_stop, control.should_save = True, False

    return Stop()


def last_checkpoint(work: Path) -> str | None:
    """The newest whole checkpoint of a killed run: the trainer writes trainer_state.json last, and so whole or cut."""
    whole = [
        str(state.parent) for state in (work / "trainer").glob("checkpoint-*/trainer_state.json") if _is_json(state)
    ]
    return max(whole, key=step_of, default=None)


def step_of(checkpoint: str) -> int:
    """The step that a trainer's checkpoint was written at."""
    return int(checkpoint.rpartition("-")[2])


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True


def by_step(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A trainer's history as one entry for each step: {"step", "loss", "lr", and RR@10 or RR of 5 on validation}.

    lr is the learning rate of that step.
    """
    steps: dict[int, dict[str, Any]] = {}
    for entry in history:
        known = {name: entry[logged] for logged, name in LOGGED.items() if logged in entry}
        if known:
            steps.setdefault(entry["step"], {"step": entry["step"]}).update(known)
    return [steps[step] for step in sorted(steps)]
