"""The work of one of the processes that measure a model, beside the others.

    python -m stages.planning.worker <folder of the work> <number of the process> <when it was started>

reads <folder>/work.json and texts-<number>.json and writes measured-<number>.json and vectors-<number>.npz.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stages.core import threads
from stages.models import caps, encoding, model_folder

if TYPE_CHECKING:
    from stages.training.seed_runs import SeedRun

CHUNK = 48  # passages that are encoded before the clock is looked at
PATIENCE = 6.0  # seconds of encoding
BATCH, STEPS = 16, 2  # of training, fewer where encoding is slow; the first step is not counted


@dataclass(frozen=True)
class Work:
    """What each process does: encode at these caps, and train on `triplets` of the texts where there are any."""

    folder: str
    query_tokens: int
    passage_tokens: int
    precision: str
    threads: int
    batch_tokens: int
    trains: bool


def _main(folder: Path, number: str, began: float) -> None:
    work = Work(**json.loads((folder / "work.json").read_text()))
    share = json.loads((folder / f"texts-{number}.json").read_text())
    threads.limit(work.threads)
    model = encoding.load_encoder(Path(work.folder))
    caps.cut(model, None, work.query_tokens, work.passage_tokens)
    computed = _clock(model)
    figures: dict[str, float | None] = {"load": computed()}
    queries = [query for _, query, _ in share["pairs"]]
    relevant = [texts[0] for _, _, texts in share["pairs"]]
    lap = computed()
    relevant_vectors = _encoded(model, relevant, work, computed, lap + 2 * PATIENCE)
    passages = _encoded(model, share["texts"], work, computed, computed() + PATIENCE / 2)
    queries, relevant = (texts[: len(relevant_vectors)] for texts in (queries, relevant))
    figures["passages"] = (len(passages) + len(relevant_vectors)) / (computed() - lap)
    lap = computed()
    asked = encoding.encode(model, queries, work.batch_tokens, work.precision, role="query")
    figures["queries"] = len(queries) / max(1e-3, computed() - lap) if queries else figures["passages"]
    np.savez(folder / f"vectors-{number}.npz", queries=asked, relevant=relevant_vectors, passages=passages)
    figures["encoding"] = _peak()
    figures |= {"triplets": None, "batch": max(2, min(BATCH, int(figures["passages"] or 0)))}
    if work.trains:
        texts = {"anchor": queries, "positive": relevant, "negative": share["texts"]}
        figures["triplets"] = _triplets_per_second(
            work, folder / f"training-{number}", texts, computed, int(figures["batch"] or 0)
        )
    figures["megabytes"] = _peak()
    figures["busy"] = max(1.0, (time.time() - began) / computed())
    (folder / f"measured-{number}.json").write_text(json.dumps(figures))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _clock(model: Any) -> Callable[[], float]:
    """Seconds that this process computed; on a GPU, which computes for it, seconds since now."""
    if model.device.type == "cpu":
        return time.process_time
    import torch

    began = time.perf_counter() - time.process_time()

    def waited() -> float:
        torch.cuda.synchronize()
        return time.perf_counter() - began

    return waited


def _encoded(model: Any, texts: list[str], work: Work, computed: Callable[[], float], end: float) -> np.ndarray:
    """Vectors of the first texts, in chunks until the clock shows `end`, of one chunk at the least."""
    parts: list[np.ndarray] = []
    for at in range(0, len(texts), CHUNK):
        if parts and computed() > end:
            break
        parts.append(encoding.encode(model, texts[at : at + CHUNK], work.batch_tokens, work.precision))
    return np.concatenate(parts) if parts else np.empty((0, model.get_embedding_dimension()), np.float32)


def _triplets_per_second(
    work: Work, folder: Path, texts: dict[str, list[str]], computed: Callable[[], float], batch: int
) -> float:
    """Train a few steps as stage `train` does, in-batch with hard negatives, all weights."""
    from transformers import TrainerCallback

    from stages.training import retriever

    ends: list[float] = []

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            ends.append(computed())

    folder.mkdir(parents=True)
    trainer = retriever.prepare(_seed_run(work, folder, texts, batch), folder / "work").trainer
    trainer.add_callback(Watch())
    trainer.args.save_strategy = "no"
    trainer.train()
    return batch * (len(ends) - 1) / (ends[-1] - ends[0])


def _seed_run(work: Work, folder: Path, texts: dict[str, list[str]], batch: int) -> SeedRun:
    """A training of STEPS steps on triplets of these texts, which are written into the folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.params.fields import Precision
    from stages.params.losses import InBatchLoss
    from stages.params.report import ValidationCurve
    from stages.params.tuning import FullTuning
    from stages.params.variants import Recipe
    from stages.training.seed_runs import SeedRun

    triplets = folder / "seed-1.parquet"
    rows = {name: [f"{column[at % len(column)]} {at}" for at in range(batch * STEPS)] for name, column in texts.items()}
    pq.write_table(pa.table(rows), triplets)
    recipe = Recipe(
        loss=InBatchLoss(kind="in-batch", hard_negatives=True),
        batch=batch,
        epochs=1,
        warmup=0.1,
        weight_decay=0.01,
        clip=1.0,
        precision=cast(Precision, work.precision),
    )
    curve = ValidationCurve(queries=1, passages=1, every=1000, early=[])
    model = _cut_copy(work, folder / "model")
    return SeedRun("measured", 1, model, triplets, FullTuning(kind="full", lr=1e-5), recipe, curve)


def _cut_copy(work: Work, folder: Path) -> Path:
    """The base checkpoint with the caps that are planned, as params.yaml will have it."""
    shutil.copytree(work.folder, folder)
    own = model_folder.describe(folder)
    model = encoding.load_encoder(folder)
    caps.cut(model, None, work.query_tokens, work.passage_tokens)
    model_folder.save(model, folder)
    model_folder.write(own, folder)
    return folder


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
