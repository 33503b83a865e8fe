"""How one setting of a search is trained and scored, and how the chosen one is trained for good."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from stages.core.files import publish
from stages.models import encoding, interpolation, reloading
from stages.params.searches import Value, setting
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe
from stages.training import loop, processes, retriever, seed_runs, validation
from stages.training.seed_runs import SeedRun
from stages.training.trials import Ends, Outcome

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback

    from stages.params import Study
    from stages.training.validation import Points

PRUNED = "pruned"  # a file in the workspace of a trial that was ended early
VALUE = "value.json"  # what a trial came to, after which its model is not needed


@dataclass(frozen=True)
class Chosen:
    """The setting that a search chose, as chosen.json in data/searches/<name> keeps it."""

    trial: int
    params: dict[str, Value]
    tuning: FineTuning
    recipe: Recipe
    alpha: float

    def as_json(self) -> dict[str, Any]:
        blocks = {name: getattr(self, name).model_dump(mode="json") for name in ("tuning", "recipe")}
        return {"trial": self.trial, "params": self.params, **blocks, "alpha": self.alpha}


def read(path: Path) -> Chosen:
    """What chosen.json holds."""
    stored = json.loads(path.read_text())
    tuning: FineTuning = TypeAdapter(FineTuning).validate_python(stored.pop("tuning"))
    return Chosen(tuning=tuning, recipe=Recipe.model_validate(stored.pop("recipe")), **stored)


def first_setting(study: Study, name: str, checkpoint: Path, triplets: Path) -> SeedRun:
    """The seed run that a search begins from: its variant's own setting with the seed of the search.

    checkpoint and triplets are folders, as of the variant itself.
    """
    block = study.searches[name]
    alone = study.model_copy(update={"seeds": [block.seed]})
    (run,) = seed_runs.of_variant(alone, name, block, checkpoint, triplets)
    return run


def try_setting(start: SeedRun, work: Path, number: int, values: Mapping[str, Value], ends: Ends) -> Outcome:
    """Train `start` with some values in place of its own, in work/trial-<number>, and score it.

    The value is RR@10 on the validation sample next to the triplets: that of the last step or, where the recipe says
    select: best, of the best one; with an alpha it is measured on the weights between base and trained model. After
    a kill training goes on from its last checkpoint.
    """
    tuning, recipe, alpha = setting(start.tuning, start.recipe, values)
    run = replace(start, variant=f"trial-{number}-of-{start.variant}", tuning=tuning, recipe=recipe)
    folder = work / f"trial-{number}"
    if not (folder / "finished.json").exists():
        folder.mkdir(exist_ok=True)
        loop.train(run, folder, partial(prepare, ends=ends), partial(deployed, alpha=alpha))
    if not (folder / VALUE).exists():
        with publish(folder / VALUE) as draft:
            draft.write_text(json.dumps(_value(run, folder, alpha)))
    shutil.rmtree(folder / "model", ignore_errors=True)
    return Outcome(_curve(folder), json.loads((folder / VALUE).read_text()))


def _curve(folder: Path) -> dict[int, float]:
    """Validation by step of a trial that is trained."""
    finished = json.loads((folder / "finished.json").read_text())
    return {entry["step"]: entry["RR@10"] for entry in finished["log"] if "RR@10" in entry}


def _value(run: SeedRun, folder: Path, alpha: float) -> float | None:
    """The value of a trial that is trained; None where it was ended early."""
    if (folder / PRUNED).exists():
        return None
    if alpha == 1:
        finished = json.loads((folder / "finished.json").read_text())
        return _curve(folder)[finished.get("best_step", finished["steps"])]
    sample = validation.read_sample(run.validation)
    assert sample
    model = encoding.load_encoder(folder / "model")
    return round(validation.reciprocal_rank(model, sample, run.recipe.precision), 6)


def train_chosen(run: SeedRun, work: Path, alpha: float) -> None:
    """Train a seed run of the chosen setting; its recipe.json names an alpha below 1."""
    loop.train(run, work, retriever.prepare, partial(deployed, alpha=alpha), partial(_noted, alpha=alpha))


def _noted(model: Any, folder: Path, alpha: float) -> None:
    """Name an alpha below 1 in a trained model's recipe.json, and check the folder."""
    if alpha < 1:
        record = json.loads((folder / "recipe.json").read_text())
        (folder / "recipe.json").write_text(json.dumps({**record, "alpha": alpha}, indent=2) + "\n")
    reloading.check(model, folder)


def prepare(run: SeedRun, work: Path, ends: Ends) -> loop.Prepared:
    """A retriever's trainer that also stops where `ends` says so."""
    prepared = retriever.prepare(run, work)
    if processes.is_first():
        prepared.trainer.add_callback(pruning(prepared.points, ends, work / PRUNED))
    return prepared


def pruning(points: Points, ends: Ends, mark: Path) -> TrainerCallback:
    """A trainer callback that ends a trial early, and leaves a mark; it comes after the one that takes the points.

    No checkpoint is written at that end, from which a resumed trial would go one step on.
    """
    from transformers import TrainerCallback

    class Prune(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step < state.max_steps and ends(points.by_step(state.log_history)):
                mark.touch()
                control.should_training_stop, control.should_save = True, False

    return Prune()


def deployed(model: SentenceTransformer, run: SeedRun, folder: Path, alpha: float) -> SentenceTransformer:
    """The trained model as it is deployed, with an alpha below 1 moved back towards its base checkpoint."""
    made = retriever.deployed(model, run, folder)
    if alpha < 1:
        base = dict(encoding.load_encoder(run.checkpoint).named_parameters())
        interpolation.put_between(made, base, interpolation.weights(made), alpha)
    return made
