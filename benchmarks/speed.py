"""Ratios against the libraries' own ways: the same work, in turn, in one process, on one machine.

    python -m benchmarks.speed encode    # SentenceTransformer.encode at its defaults
    python -m benchmarks.speed train     # SentenceTransformerTrainer at its defaults, the same batches and loss
    python -m benchmarks.speed peak      # the matrix products alone
    python -m benchmarks.speed nothing   # dvc repro and dvc status with nothing to do
    python -m benchmarks.speed rerank    # CrossEncoder.predict and .rank, and batches in the order of the pairs
    python -m benchmarks.speed search    # faiss IndexFlatIP and sentence_transformers.util.semantic_search
    python -m benchmarks.speed memory    # a million short passages encoded and searched in a bounded space
    python -m benchmarks.speed tests     # interval and randomisation test of a study of the papers' size

Run `dvc repro` first: the texts are those of the default collection.
"""

import os
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.collections import canonical
from stages.core import scratch
from stages.evaluation import significance
from stages.models import caps, cross_encoder, encoding, precision, shards
from stages.models.shards import Job
from stages.params.report import Index
from stages.params.variants import Retriever
from stages.retrieval import candidates, dense, runs
from stages.training import attention, losses, retriever, seed_runs
from stages.training.seed_runs import SeedRun
from studies import collecting

ROUNDS = 3
DOCS, BASE = Path("data/corpora/in_domain/docs.parquet"), Path("data/checkpoints/minilm")


@click.group()
def main() -> None:
    """Speed and memory against the libraries' own ways, as ratios of one run."""
    click.echo(f"{machine()}, {os.cpu_count()} cores")


def machine() -> str:
    """The processor's name, or the kind of machine where the system does not tell it."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.machine()


@main.command()
@click.option("--passages", default=1500, show_default=True)
@click.option("--tokens", default=64, show_default=True)
def encode(passages: int, tokens: int) -> None:
    """Token-sorted batches, in float32 and as `precision: auto`, against SentenceTransformer.encode at its defaults."""
    collecting.require(DOCS, BASE)
    texts = pq.read_table(DOCS)["text"].to_pylist()[:passages]
    model = encoding.load_encoder(BASE)
    caps.cut(model, tokens, None, None)
    native = precision.chosen("auto")
    ours, whole, theirs = _in_turn(
        lambda: encoding.encode(model, texts, 2048, native),
        lambda: encoding.encode(model, texts, 2048),
        lambda: model.encode(texts, normalize_embeddings=True, show_progress_bar=False),
    )
    made = encoding.encode(model, texts, 2048)
    gap = np.abs(made - model.encode(texts, normalize_embeddings=True, show_progress_bar=False)).max()
    cosine = (made * encoding.encode(model, texts, 2048, native)).sum(axis=1).min()
    _say(f"encode in {native}", len(texts), "passages", ours, {"SentenceTransformer.encode": theirs})
    _say("encode in float32", len(texts), "passages", whole, {"SentenceTransformer.encode": theirs})
    click.echo(
        f"largest difference of a coordinate in float32: {gap:.1e}; least cosine of {native} to it: {cosine:.6f}"
    )


@main.command()
@click.option("--triplets", default=256, show_default=True)
@click.option("--batch", default=32, show_default=True)
def train(triplets: int, batch: int) -> None:
    """A variant's training as the study does it, against SentenceTransformerTrainer at its defaults: same batches."""
    study, seed = params.load(), 13
    block = Retriever(checkpoint="minilm", tuning="full", triplets="hard", recipe="printed")
    checkpoint, drawn = BASE, Path("data/triplets/hard")
    collecting.require(checkpoint, drawn)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(
            pq.read_table(drawn / f"seed-{seed}.parquet").slice(0, triplets), f"{folder}/seed-{seed}.parquet"
        )
        study = study.model_copy(update={"seeds": [seed]})
        (drawn_run,) = seed_runs.of_variant(study, "benchmark", block, checkpoint, Path(folder))
        seed_run = replace(drawn_run, recipe=drawn_run.recipe.model_copy(update={"batch": batch}))
        ours, theirs = _in_turn(
            lambda: _as_the_study(seed_run, Path(folder) / "ours"),
            lambda: _at_defaults(seed_run, Path(folder) / "theirs"),
        )
    _say("train", triplets, "triplets", ours, {"SentenceTransformerTrainer": theirs})


def _as_the_study(run: SeedRun, work: Path) -> None:
    """Train a seed run in what `precision: auto` chooses, without validation and before anything is saved."""
    recipe = run.recipe.model_copy(update={"precision": precision.chosen("auto")})
    prepared = retriever.prepare(replace(run, recipe=recipe), work)
    attention.fit(prepared.trainer.model)
    prepared.trainer.args.save_strategy = "no"
    prepared.trainer.train()


def _at_defaults(run: SeedRun, work: Path) -> None:
    """Train the same model on the same triplets with the library's own arguments, in float32."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    model = encoding.load_encoder(run.checkpoint)
    batch = {"per_device_train_batch_size": run.recipe.batch, "num_train_epochs": 1}
    arguments = {"output_dir": str(work), "save_strategy": "no", "report_to": "none", "disable_tqdm": True, **batch}
    SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(**arguments),
        train_dataset=Dataset(losses.columns(pq.read_table(run.triplets), run.recipe.loss)),
        loss=losses.build(model, run.recipe.loss),
    ).train()


@main.command()
def peak() -> None:
    """The layers' own matrix products, without anything around them: what no encoder can exceed."""
    import torch

    for name in ("float32", "bfloat16"):
        for rows, inner, columns in ((2048, 384, 384), (2048, 384, 1536), (2048, 1536, 384)):
            left, right = (
                torch.randn(shape, dtype=getattr(torch, name)) for shape in ((rows, inner), (columns, inner))
            )
            (seconds,) = _in_turn(partial(_multiply, left, right))
            rate = 50 * 2 * rows * inner * columns / statistics.median(seconds) / 1e9
            click.echo(f"{name}, {rows} x {inner} x {columns}: {rate:,.0f} GFLOP/s")


def _multiply(left: Any, right: Any) -> None:
    import torch

    for _ in range(50):
        torch.nn.functional.linear(left, right)


@main.command()
def nothing() -> None:
    """`dvc repro` and `dvc status` with nothing to do, in seconds."""
    for command in (["dvc", "repro"], ["dvc", "status"]):
        (seconds,) = _in_turn(partial(subprocess.run, command, check=True, capture_output=True))
        click.echo(f"{' '.join(command)}: {statistics.median(seconds):.1f} s")


@main.command()
@click.option("--queries", default=25, show_default=True)
@click.option("--depth", default=20, show_default=True)
def rerank(queries: int, depth: int) -> None:
    """Pairs of like token length in one batch against the library's predict and rank, and against unsorted batches."""
    import torch

    corpus, first = DOCS.parent, Path("data/runs/base/in_domain/pretrained/test.parquet")
    collecting.require(corpus, first, reranker := Path("data/checkpoints/cross"))
    topics = pq.read_table(corpus / "topics/test.parquet").to_pydict()
    asked = dict(zip(topics["query_id"], topics["text"], strict=True))
    run = runs.read(first)
    top = candidates.top(run, candidates.sample(asked, queries, 13), depth)
    texts = dict(zip(*candidates.passages(corpus / "docs.parquet", top["doc_id"]).to_pydict().values(), strict=True))
    pairs = [(asked[query], texts[doc]) for query, doc in zip(*top.to_pydict().values(), strict=True)]
    left, right = [query for query, _ in pairs], [passage for _, passage in pairs]
    lists = {query: [text for other, text in pairs if other == query] for query in left}
    model = cross_encoder.load(reranker, 13)
    ours, predict, rank, unsorted = _in_turn(
        lambda: cross_encoder.score(model, left, right, 4096),
        lambda: model.predict(pairs),
        lambda: [model.rank(query, passages) for query, passages in lists.items()],
        lambda: [model.predict(pairs[start : start + 32]) for start in range(0, len(pairs), 32)],
    )
    others = {
        "CrossEncoder.predict": predict,
        "CrossEncoder.rank, query by query": rank,
        "CrossEncoder.predict on 32 pairs at a time, in the order of the pairs": unsorted,
    }
    _say("rerank", len(pairs), "pairs", ours, others)
    gap = np.abs(
        cross_encoder.score(model, left, right, 4096) - model.predict(pairs, activation_fn=torch.nn.Identity())
    ).max()
    click.echo(f"largest difference of a score: {gap:.1e}")


@main.command()
@click.option("--passages", default=1_000_000, show_default=True)
@click.option("--queries", default=1000, show_default=True)
def search(passages: int, queries: int) -> None:
    """Exact top 200 over a memory map against faiss's own index and the library's search."""
    import faiss
    from sentence_transformers.util import semantic_search

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "docs.npy"
        vectors = np.lib.format.open_memmap(path, "w+", np.float32, (passages, 384))
        rng = np.random.default_rng(0)
        for start in range(0, passages, 100_000):
            part = rng.standard_normal((min(100_000, passages - start), 384), dtype=np.float32)
            vectors[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
        vectors.flush()
        vectors = np.load(path, mmap_mode="r")
        asked = np.array(vectors[rng.integers(passages, size=queries)]) + 0.05 * rng.standard_normal((queries, 384))
        asked = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
        index = faiss.IndexFlatIP(384)
        index.add(np.asarray(vectors))
        ours, flat, library = _in_turn(
            lambda: dense.top_k(asked, vectors, 200, 65536),
            lambda: index.search(asked, 200),
            lambda: semantic_search(asked, np.asarray(vectors), top_k=200),
        )
    _say("search", queries, "queries", ours, {"faiss IndexFlatIP": flat, "util.semantic_search": library})


@main.command()
@click.option("--passages", default=1_000_000, show_default=True)
@click.option("--limit-mb", default=4096, show_default=True)
def memory(passages: int, limit_mb: int) -> None:
    """Encode and search synthetic short passages, shard by shard, and print the peak of resident memory."""
    from tqdm import tqdm

    collecting.require(BASE)
    rng = np.random.default_rng(0)
    words = np.array(
        ["red", "boat", "north", "clock", "river", "house", "market", "wall", "king", "garden", "horse", "ford"]
    )
    scratch.ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch.ROOT) as name, tqdm(total=passages, mininterval=10) as bar:
        folder = Path(name)
        with pq.ParquetWriter(folder / "docs.parquet", canonical.DOCS) as writer:
            for start in range(0, passages, 20_000):
                drawn = words[rng.integers(12, size=(min(20_000, passages - start), 3))]
                ids = [str(start + at) for at in range(len(drawn))]
                writer.write_batch(pa.record_batch([ids, [" ".join(line) for line in drawn]], schema=canonical.DOCS))
        (folder / "docs.json").write_text("{}")
        index = Index(dtype="float16", batch_tokens=8192, block=20_000)
        job = Job(BASE, folder, folder, index)
        encode = shards.worker(job, bar.update)
        for shard in shards.of(job):
            encode(shard)
        target, _ = shards.finish(job, "docs")
        vectors = np.load(target, mmap_mode="r")
        dense.top_k(np.array(vectors[:1000], dtype=np.float32), vectors, 200, 65536)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"{passages:,} passages encoded and searched: peak {peak:,.0f} MB resident, the map included")
    raise SystemExit(peak > limit_mb)


@main.command()
@click.option("--queries", default=7000, show_default=True)
@click.option("--variants", default=12, show_default=True)
@click.option("--limit-seconds", default=60, show_default=True)
def tests(queries: int, variants: int, limit_seconds: int) -> None:
    """Compare variants with a base, each query its own cluster, 10,000 resamples each; fails beyond the limit."""
    rng = np.random.default_rng(0)
    base = rng.choice([1, 1 / 2, 1 / 3, 1 / 10, 0], queries)
    moved = [
        np.where(rng.random(queries) < 0.3, rng.choice([1, 1 / 2, 1 / 3, 1 / 10, 0], queries), base)
        for _ in range(variants)
    ]
    start = time.perf_counter()
    for variant in moved:
        significance.compare(variant, base, np.arange(queries), 0.05, 10_000)
    seconds = time.perf_counter() - start
    click.echo(f"{variants} variants on {queries:,} queries, 10,000 resamples each: {seconds:.0f} s")
    raise SystemExit(seconds > limit_seconds)


def _in_turn(*ways: Callable[[], object]) -> list[list[float]]:
    """Seconds of each way in each round, one after the other, after one round that does not count."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS + 1):
        for at, way in enumerate(ways):
            start = time.perf_counter()
            way()
            seconds[at].append(time.perf_counter() - start)
    return [rounds[1:] for rounds in seconds]


def _say(what: str, count: int, unit: str, ours: list[float], others: dict[str, list[float]]) -> None:
    click.echo(f"{what}: {count / statistics.median(ours):,.1f} {unit}/s")
    for name, theirs in others.items():
        ratios = [other / own for own, other in zip(ours, theirs)]
        click.echo(
            f"  x {statistics.median(ratios):.2f} the speed of {name} "
            f"(rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})"
        )


if __name__ == "__main__":
    main()
