"""A measure on a small validation sample while a model trains: when it drops, and which weights rank best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import encoding

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback, TrainerState

    from stages.params.report import ValidationCurve
    from stages.params.variants import Recipe

BATCH_TOKENS = 2048
Measure = Callable[[Any], float]  # of a model in evaluation mode


@dataclass(frozen=True)
class Sample:
    """Texts, and which passages are relevant: boolean of shape (queries, passages)."""

    queries: list[str]
    passages: list[str]
    relevant: np.ndarray


def read_sample(folder: Path) -> Sample | None:
    """The validation sample that is in a folder; None where there is no such folder."""
    if not folder.exists():
        return None
    queries = pq.read_table(folder / "queries.parquet").to_pydict()
    passages = pq.read_table(folder / "passages.parquet").to_pydict()
    relevant = np.array([np.isin(passages["doc_id"], ids) for ids in queries["relevant"]])
    return Sample(queries["text"], passages["text"], relevant)


def mean_reciprocal_rank(scores: np.ndarray, relevant: np.ndarray, depth: int = 10) -> float:
    """Mean over queries of 1 / rank of the best relevant passage, 0 beyond `depth`; equals go to the lower column.

    scores and relevant are (queries, passages).
    """
    ranked = np.take_along_axis(relevant, np.argsort(-scores, axis=1, kind="stable"), axis=1)[:, :depth]
    first = ranked.argmax(axis=1)
    return float(np.mean(np.where(ranked.any(axis=1), 1 / (first + 1), 0)))


def reciprocal_rank(model: SentenceTransformer, sample: Sample, precision: str = "float32") -> float:
    """RR@10 of a retriever on a sample."""
    queries = encoding.encode(model, sample.queries, BATCH_TOKENS, precision, role="query")
    passages = encoding.encode(model, sample.passages, BATCH_TOKENS, precision, role="document")
    return mean_reciprocal_rank(queries @ passages.T, sample.relevant)


@dataclass(frozen=True)
class Points:
    """The validation points of a seed run: {"step", name} in the trainer's own history, which its checkpoints keep.

    `measure` is taken before the first step, at the steps of `curve` and after the last step; None takes no point.
    With the recipe's select "best" the trained weights of the best point are in work/best-<step>.safetensors; step 0,
    the base checkpoint, is one of the points. Everything else is read off the history, so that a resumed run, whose
    history is its checkpoint's, goes on as if undisturbed: the file that a checkpoint's history names is kept until a
    newer checkpoint is whole. Raises UserError where the best is asked for and there is nothing to measure.
    """

    name: str
    measure: Measure | None
    curve: ValidationCurve
    recipe: Recipe
    work: Path

    def __post_init__(self) -> None:
        if self.recipe.select == "best" and self.measure is None:
            raise UserError(
                "recipes: select: best chooses by validation queries and there are none; give the corpus of these "
                "triplets some (corpora.<name>.validation) or say select: last"
            )

    def by_step(self, history: list[dict[str, Any]]) -> dict[int, float]:
        """The figures in a trainer's history by step, in the order taken."""
        return {entry["step"]: entry[self.name] for entry in history if self.name in entry}

    def are_due(self, step: int, last: int) -> bool:
        """Whether there is a point after a step."""
        return step % self.curve.every == 0 or step in (*self.curve.early, last)

    def take(self, state: TrainerState, model: Any) -> None:
        """Add the point of the trainer's step to its history, once, and write the weights if it is the best."""
        if self.measure is None or state.global_step in self.by_step(state.log_history):
            return
        training = model.training
        model.eval()
        state.log_history.append({"step": state.global_step, self.name: round(self.measure(model), 6)})
        model.train(training)
        if self.recipe.select == "best" and best(self.by_step(state.log_history)) == state.global_step:
            _save(model, self._file(state.global_step))

    def waited(self, history: list[dict[str, Any]]) -> bool:
        """Whether the recipe's patience is over: so many points were taken since the best one."""
        points = self.by_step(history)
        patience = self.recipe.patience
        return patience is not None and len(points) - 1 - list(points).index(best(points)) >= patience

    def drop_superseded(self, history: list[dict[str, Any]]) -> None:
        """Remove the weights of all points but the best."""
        for path in self.work.glob("best-*.safetensors"):
            if path != self._file(best(self.by_step(history))):
                path.unlink()

    def finish(self, state: TrainerState, model: Any) -> int | None:
        """Take the last step's point if that was not done; with select "best" restore and name the best step."""
        self.take(state, model)
        if self.recipe.select != "best":
            return None
        step = best(self.by_step(state.log_history))
        _restore(model, self._file(step))
        return step

    def _file(self, step: int) -> Path:
        return self.work / f"best-{step}.safetensors"


def best(points: dict[int, float]) -> int:
    """The step with the largest figure, the earliest of equals; at least one point is needed."""
    return max(points, key=lambda step: points[step])


def callback(points: Points) -> TrainerCallback:
    """A trainer callback that takes the points, and ends training where the recipe's patience is over.

    No checkpoint is written at that end, from which a resumed run would go one step on.
    """
    from transformers import TrainerCallback

    class Validation(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 0:
                points.take(state, model)

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if points.are_due(state.global_step, state.max_steps):
                points.take(state, model)
                if points.waited(state.log_history):
                    control.should_training_stop, control.should_save = True, False

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            points.drop_superseded(state.log_history)

    return Validation()


def _trained(model: Any) -> dict[str, Any]:
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}


def _save(model: Any, path: Path) -> None:
    from safetensors.torch import save_file

    with publish(path) as draft:
        save_file({name: weights.detach().cpu().contiguous() for name, weights in _trained(model).items()}, str(draft))


def _restore(model: Any, path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    stored = load_file(str(path))
    with torch.no_grad():
        for name, weights in _trained(model).items():
            weights.copy_(stored[name])
