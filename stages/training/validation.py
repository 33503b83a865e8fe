"""RR@10 on a small fixed validation sample while a model trains: when a fall begins, and which weights ranked best."""
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from stages.core.errors import UserError
from stages.core.files import publish

BATCH_TOKENS = 2048


def read_sample(folder: Path) -> dict | None:
    """{"queries": texts, "passages": texts, "relevant": boolean (queries, passages)}; None where nothing is watched."""
    if not folder.exists():
        return None
    queries = pq.read_table(folder / "queries.parquet").to_pydict()
    passages = pq.read_table(folder / "passages.parquet").to_pydict()
    relevant = np.array([np.isin(passages["doc_id"], ids) for ids in queries["relevant"]])
    return {"queries": queries["text"], "passages": passages["text"], "relevant": relevant}


def mean_reciprocal_rank(scores: np.ndarray, relevant: np.ndarray, depth: int = 10) -> float:
    """Mean over queries of 1 / rank of the best relevant passage, 0 beyond `depth`; equals go to the lower column.

    scores and relevant are (queries, passages).
    """
    ranked = np.take_along_axis(relevant, np.argsort(-scores, axis=1, kind="stable"), axis=1)[:, :depth]
    first = ranked.argmax(axis=1)
    return float(np.mean(np.where(ranked.any(axis=1), 1 / (first + 1), 0)))


def reciprocal_rank(model, sample: dict, precision: str = "float32") -> float:
    """RR@10 of a model on a sample; the model is left in the mode (training or not) that it was in."""
    from stages.models import encoding
    training = model.training
    model.eval()
    queries = encoding.encode(model, sample["queries"], BATCH_TOKENS, precision, role="query")
    passages = encoding.encode(model, sample["passages"], BATCH_TOKENS, precision, role="document")
    model.train(training)
    return mean_reciprocal_rank(queries @ passages.T, sample["relevant"])


def looks(history: list[dict]) -> dict[int, float]:
    """RR@10 by step, in the order looked, of a trainer's history."""
    return {entry["step"]: entry["RR@10"] for entry in history if "RR@10" in entry}


def best(history: list[dict]) -> int:
    """The step whose look ranked best, the earliest of equals; history has at least one look."""
    seen = looks(history)
    return max(seen, key=seen.get)


def callback(sample: dict | None, curve, fit, work: Path):
    """A trainer callback that appends {"step", "RR@10"} to the trainer's own history, which its checkpoints keep.

    With the fit's select "best" the trained weights of the best look lie in work/best-<step>.safetensors; step 0, the
    untrained model, is one of the looks. Everything else is read off the history, so a resumed run, whose history is
    its checkpoint's, goes on as if undisturbed: the file that a checkpoint's history names is kept until a newer
    checkpoint is whole. `patience` looks without a better one end training, and no checkpoint is written there, from
    which a resumed run would go one step on. Raises UserError where the best is asked for and nothing is watched.
    """
    from transformers import TrainerCallback
    if fit.select == "best" and sample is None:
        raise UserError("fits: select: best chooses by validation queries and there are none; give the corpus of these "
                      "triplets some (corpora.<name>.validation) or say select: last")

    class Watch(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 0:
                self.look(state, model)

        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step % curve.every == 0 or state.global_step in {*curve.early, state.max_steps}:
                self.look(state, model)
                if fit.patience and _waited(state.log_history) >= fit.patience:
                    control.should_training_stop, control.should_save = True, False

        def on_save(self, args, state, control, **kwargs):
            for path in work.glob("best-*.safetensors"):
                if path != _file(work, best(state.log_history)):
                    path.unlink()

        def look(self, state, model):
            if sample is None or state.global_step in looks(state.log_history):
                return
            found = reciprocal_rank(model, sample, fit.precision)
            state.log_history.append({"step": state.global_step, "RR@10": round(found, 6)})
            if fit.select == "best" and best(state.log_history) == state.global_step:
                _save(model, _file(work, state.global_step))

        def finish(self, state, model) -> int | None:
            """Look at the last step if that was not done; with select "best" put back and name the best step."""
            self.look(state, model)
            if fit.select != "best":
                return None
            _restore(model, _file(work, best(state.log_history)))
            return best(state.log_history)

    return Watch()


def _waited(history: list[dict]) -> int:
    """Looks since the best one."""
    steps = list(looks(history))
    return len(steps) - 1 - steps.index(best(history))


def _file(work: Path, step: int) -> Path:
    return work / f"best-{step}.safetensors"


def _trained(model) -> dict:
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}


def _save(model, path: Path) -> None:
    from safetensors.torch import save_file
    with publish(path) as draft:
        save_file({name: weights.detach().cpu().contiguous() for name, weights in _trained(model).items()}, str(draft))


def _restore(model, path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    kept = load_file(str(path))
    with torch.no_grad():
        for name, weights in _trained(model).items():
            weights.copy_(kept[name])
