"""RR@10 on a small fixed validation sample while a model trains, so that one sees when a fall begins."""
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

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


def callback(sample: dict | None, curve, precision: str):
    """A trainer callback that appends {"step", "RR@10"} to the trainer's own history, which its checkpoints keep."""
    from transformers import TrainerCallback

    from stages.lib import encoding

    class Watch(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 0:
                self.look(state, model)

        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step % curve.every == 0 or state.global_step in {*curve.early, state.max_steps}:
                self.look(state, model)

        def look(self, state, model):
            if sample is None:
                return
            training = model.training
            model.eval()
            queries = encoding.encode(model, sample["queries"], BATCH_TOKENS, precision)
            passages = encoding.encode(model, sample["passages"], BATCH_TOKENS, precision)
            model.train(training)
            found = mean_reciprocal_rank(queries @ passages.T, sample["relevant"])
            state.log_history.append({"step": state.global_step, "RR@10": round(found, 6)})

    return Watch()
