"""What a model takes on this machine: the same short work done by as many processes at once as stages will run.

    python -m stages.planning.measuring <folder of the work> <number of the process>

reads <folder>/work.json and <folder>/texts.json and writes <folder>/measured-<number>.json and vectors-<number>.npz.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core import threads
from stages.core.errors import UserError
from stages.models import architectures, caps, encoding, fetch, lengths, model_folder, precision, towers
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from stages.params.models import Start

CHUNK = 48  # passages that are encoded before the clock is looked at
PATIENCE = 6.0  # seconds of encoding
BATCH, STEPS = 16, 2  # of training; the first step is not counted
UNBOUNDED = 10**6


@dataclass(frozen=True)
class Model:
    """A base checkpoint as it was fetched. `own` are its own caps of queries and passages, None where it has none."""

    folder: Path
    kind: str
    similarity: str
    dimension: int
    megabytes: float
    own: tuple[int | None, int | None]
    usable: int | None
    seconds: float


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


@dataclass(frozen=True)
class Rates:
    """What one of the processes at work takes, on average. `cpu` is the share of wall seconds that it computed."""

    start: float
    load: float
    passages: float
    queries: float
    triplets: float | None
    megabytes: float
    cpu: float


def fetched(start: Start, folder: Path) -> Model:
    """The base checkpoint in a folder, as stage `checkpoint` makes it. Raises UserError as that stage does."""
    began = time.perf_counter()
    folder.mkdir(parents=True)
    fetch.fetch(start.source, folder, start.adapter_base)
    prompts = dict(start.prompts.model_dump(exclude_none=True)) if start.prompts else {}
    own = Description(
        "symmetric",
        sha256=fetch.checked_sha256(folder, start.sha256),
        remote_code=start.remote_code,
        prompts=prompts,
        similarity=start.similarity or "",
    )
    architectures.build(folder, own)
    model_folder.write(own, folder)
    model = encoding.load_encoder(folder)
    config = getattr(getattr(towers.first(model, "query"), "model", None), "config", None)
    return Model(
        folder=folder,
        kind=getattr(config, "model_type", ""),
        similarity=str(model.similarity_fn_name),
        dimension=int(model.get_embedding_dimension() or 0),
        megabytes=sum(weights.numel() for weights in model.parameters()) * 4 / 1e6,
        own=(caps.of(model, "query"), caps.of(model, "document")),
        usable=caps.usable_positions(config.to_dict()) if config is not None else None,
        seconds=time.perf_counter() - began,
    )


def token_lengths(folder: Path, queries: list[str], passages: list[str]) -> dict[str, np.ndarray]:
    """The length of each text in the model's own tokens, prompts and special tokens included, uncut."""
    model = encoding.load_encoder(folder)
    for body in towers.bodies(model).values():
        if hasattr(body, "query_length"):
            body.max_seq_length, body.query_length, body.document_length = UNBOUNDED, None, None
    found = {"query": queries, "passage": passages}
    roles = {"query": "query", "passage": "document"}
    return {kind: lengths.in_tokens(model, texts, roles[kind]).read for kind, texts in found.items()}


def rates(work: Work, folder: Path, jobs: int, pairs: Sequence[tuple[str, list[str]]], texts: list[str]) -> tuple[Rates, list[float]]:
    """What `jobs` processes at once measure, and the rank that the base gives each pair's first relevant passage.

    Ranks are among all passages that were encoded; the caller scales them to the collection.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.json").write_text(json.dumps(asdict(work)))
    shares = [{"pairs": list(pairs[at::jobs]), "texts": texts[at::jobs]} for at in range(jobs)]
    for number, share in enumerate(shares):
        (folder / f"texts-{number}.json").write_text(json.dumps(share))
    environment = dict(os.environ) | dict.fromkeys(threads.VARIABLES, str(work.threads))
    command = [sys.executable, "-m", "stages.planning.measuring", str(folder)]
    running = [
        subprocess.Popen([*command, str(number), str(time.time())], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for number in range(jobs)
    ]
    said = [one.communicate()[0] for one in running]
    for one, words in zip(running, said, strict=True):
        if one.returncode:
            raise UserError(f"measuring the model failed: {(words.strip() or 'no word of why').splitlines()[-1][:300]}")
    found = [json.loads((folder / f"measured-{number}.json").read_text()) for number in range(jobs)]
    mean = {key: None if found[0][key] is None else float(np.mean([one[key] for one in found])) for key in found[0]}
    vectors = [np.load(folder / f"vectors-{number}.npz") for number in range(jobs)]
    return Rates(**mean), _ranks(vectors)


def _ranks(vectors: list[Any]) -> list[float]:
    """For each query the rank of its best relevant passage among all passages of all processes."""
    passages = np.concatenate([one["passages"] for one in vectors])
    found: list[float] = []
    for one in vectors:
        scores = one["queries"] @ passages.T
        best = np.full(len(one["queries"]), -np.inf)
        np.maximum.at(best, one["owner"], np.einsum("ij,ij->i", one["queries"][one["owner"]], one["relevant"]))
        found += (1 + (scores > best[:, None] + 1e-6).sum(axis=1)).tolist()
    return found


def _main(folder: Path, number: str, began: float) -> None:
    work, share = Work(**json.loads((folder / "work.json").read_text())), json.loads((folder / f"texts-{number}.json").read_text())
    threads.limit(work.threads)
    clock, cpu = time.perf_counter(), time.process_time()
    model = encoding.load_encoder(Path(work.folder))
    caps.cut(model, None, work.query_tokens, work.passage_tokens)
    figures: dict[str, float | None] = {"start": time.time() - began - (time.perf_counter() - clock), "load": time.perf_counter() - clock}
    queries = [query for query, _ in share["pairs"]]
    relevant = [text for _, texts in share["pairs"] for text in texts[:1]]
    owner = np.arange(len(queries))
    made, seconds, done = [], 0.0, 0
    for kind, texts in (("relevant", relevant), ("passages", share["texts"])):
        parts = []
        for at in range(0, len(texts), CHUNK):
            if kind == "passages" and seconds > PATIENCE and parts:
                break
            lap = time.perf_counter()
            parts.append(encoding.encode(model, texts[at : at + CHUNK], work.batch_tokens, work.precision))
            seconds, done = seconds + time.perf_counter() - lap, done + len(parts[-1])
        made.append(np.concatenate(parts))
    lap = time.perf_counter()
    asked = encoding.encode(model, queries, work.batch_tokens, work.precision, role="query")
    figures |= {"passages": done / seconds, "queries": len(queries) / (time.perf_counter() - lap)}
    np.savez(folder / f"vectors-{number}.npz", queries=asked, relevant=made[0], passages=made[1], owner=owner)
    figures["triplets"] = _triplets_per_second(work, folder / f"training-{number}", queries, relevant, share["texts"]) if work.trains else None
    figures["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["cpu"] = (time.process_time() - cpu) / (time.perf_counter() - clock)
    (folder / f"measured-{number}.json").write_text(json.dumps(figures))


def _triplets_per_second(work: Work, folder: Path, queries: list[str], positives: list[str], negatives: list[str]) -> float:
    """Train a few steps as stage `train` does, in-batch with hard negatives, all weights."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from transformers import TrainerCallback

    from stages.params.losses import InBatchLoss
    from stages.params.report import ValidationCurve
    from stages.params.tuning import FullTuning
    from stages.params.variants import Recipe
    from stages.training import retriever
    from stages.training.seed_runs import SeedRun

    size = BATCH * STEPS
    folder.mkdir(parents=True)
    columns = {"anchor": queries, "positive": positives, "negative": negatives}
    rows = {name: [f"{texts[at % len(texts)]} {at}" for at in range(size)] for name, texts in columns.items()}
    pq.write_table(pa.table(rows), folder / "seed-1.parquet")
    model = _cut_copy(work, folder / "model")
    recipe = Recipe(
        loss=InBatchLoss(kind="in-batch", hard_negatives=True), batch=BATCH, epochs=1, warmup=0.1, weight_decay=0.01, clip=1.0,
        precision=work.precision,
    )
    curve = ValidationCurve(queries=1, passages=1, every=1000, early=[])
    run = SeedRun("measured", 1, model, folder / "seed-1.parquet", FullTuning(kind="full", lr=1e-5), recipe, curve)
    trainer = retriever.prepare(run, folder / "work").trainer
    ends: list[float] = []

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            ends.append(time.perf_counter())

    trainer.add_callback(Watch())
    trainer.args.save_strategy = "no"
    trainer.train()
    return BATCH * (len(ends) - 1) / (ends[-1] - ends[0])


def _cut_copy(work: Work, folder: Path) -> Path:
    """The base checkpoint with the caps that are planned, as params.yaml will have it."""
    import shutil

    shutil.copytree(work.folder, folder)
    own = model_folder.describe(folder)
    model = encoding.load_encoder(folder)
    caps.cut(model, None, work.query_tokens, work.passage_tokens)
    model_folder.save(model, folder)
    model_folder.write(own, folder)
    return folder


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
