"""Ratios of many against one on the same cores, all in one run: Ray actors, search processes; and what Ray costs.

python -m benchmarks.scale    # needs Ray (requirements-ray.txt), data/checkpoints/minilm and data/corpora/in_domain
"""

import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq

from stages.core import on_ray, scratch
from stages.core.on_ray import Cluster
from stages.models import shards
from stages.models.shards import Done, Job, Shard
from stages.params.report import Index
from stages.retrieval import bm25 as lexical
from stages.retrieval import searching

ROUNDS = 3
TWO = Cluster("local", actors=2, cpus=1, gpus=0)
Result = tuple[int, Done]


@click.group()
def main() -> None:
    """Ratios and memory beyond one process."""
    click.echo(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    scratch.ROOT.mkdir(exist_ok=True)


@main.command()
@click.option(
    "--passages", type=click.IntRange(min=1), default=1500, show_default=True, help="that are encoded in each round"
)
@click.option("--vectors", type=click.IntRange(min=1), default=400_000, show_default=True, help="that are searched")
def many(passages: int, vectors: int) -> None:
    """Print the ratios; exit code 1 where one is below 0.9, or where Ray takes 15 s and more."""
    with tempfile.TemporaryDirectory(dir=scratch.ROOT) as folder:
        encoding = _encoding(Path(folder), passages)
        overhead = _overhead()
        search = _search(Path(folder), vectors)
    raise SystemExit(encoding < 0.9 or search < 0.9 or overhead >= 15)


@main.command()
@click.option("--passages", type=click.IntRange(min=1), default=100_000, show_default=True)
def bm25(passages: int) -> None:
    """Build and search an index of passages of 35 to 79 words, drawn by a Zipf law, each in a process of its own."""
    with tempfile.TemporaryDirectory(dir=scratch.ROOT) as folder:
        index = Path(folder) / "bm25"
        for name, work in (("building", _build), ("searching 300 queries", _ask)):
            began = time.perf_counter()
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                peak = pool.submit(work, index, passages).result()
            click.echo(f"{name}: peak {peak:,.0f} MB, {time.perf_counter() - began:.0f} s")
        size = sum(path.stat().st_size for path in index.iterdir())
        click.echo(f"{passages:,} passages, index {size / 1e6:,.0f} MB")


def _texts(count: int, seed: int, shortest: int, longest: int) -> Iterator[str]:
    words = np.array([f"w{number:x}q" for number in range(400_000)])
    shares = (1.0 / np.arange(1, len(words) + 1) ** 1.05).cumsum()
    rng = np.random.default_rng(seed)
    for length in rng.integers(shortest, longest, count):
        yield " ".join(words[np.searchsorted(shares, rng.random(length) * shares[-1])])


def _build(index: Path, passages: int) -> float:
    lexical.build(_texts(passages, 0, 35, 80), index, 0.9, 0.4)
    return _peak()


def _ask(index: Path, passages: int) -> float:
    lexical.top_k(list(_texts(300, 1, 6, 7)), index, 200)
    return _peak()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _encoding(folder: Path, passages: int) -> float:
    """Texts a second of two actors of one thread, once both have loaded, against one process of two threads."""
    (folder / "things/topics").mkdir(parents=True)
    table = pq.read_table("data/corpora/in_domain/docs.parquet").slice(0, passages)
    pq.write_table(table, folder / "things/docs.parquet")
    (folder / "things/docs.json").write_text("{}")
    index = Index(dtype="float32", batch_tokens=2048, block=50)
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    vectors: dict[str, bytes] = {}
    for number in range(ROUNDS):
        for name, threads in (("local", 2), ("ray", 1)):
            work = folder / f"{name}-{number}"
            work.mkdir()
            model = Path("data/checkpoints/minilm").absolute()
            job = Job(model, (folder / "things").absolute(), work.absolute(), index, threads)
            rates[name].append(_local(job) if name == "local" else _on_ray(job))
            vectors[name] = shards.finish(job, "docs")[0].read_bytes()
    ratios = [ray / local for ray, local in zip(rates["ray"], rates["local"])]
    same = "the same bytes" if vectors["ray"] == vectors["local"] else "other last bits"
    click.echo(
        f"encoding by 2 Ray actors of one thread: {_said(ratios)} of one process of two threads "
        f"({statistics.median(rates['local']):.0f} texts/s), {same}"
    )
    return statistics.median(ratios)


def _local(job: Job) -> float:
    encode = shards.worker(job)
    began = time.perf_counter()
    rows = sum(encode(shard).rows for shard in shards.of(job))
    return rows / (time.perf_counter() - began)


def _on_ray(job: Job) -> float:
    """From the first shard of the actor that came last to the last shard of all."""
    arrived = [
        (time.perf_counter(), process, done.rows)
        for _, (process, done) in on_ray.each(partial(_worker, job), shards.of(job), TWO)
    ]
    first = {process: at for at, process, _ in reversed(arrived)}
    began = max(first.values())
    return sum(rows for at, _, rows in arrived if at > began) / (arrived[-1][0] - began)


def _worker(job: Job) -> Callable[[Shard], Result]:
    encode = shards.worker(job)
    return lambda shard: (os.getpid(), encode(shard))


def _overhead() -> float:
    """Seconds that Ray takes to start two actors that load nothing, and to end."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        list(on_ray.each(lambda: lambda item: item, [0, 1], TWO))
        seconds.append(time.perf_counter() - began)
    click.echo(f"Ray starts and ends in {_said(seconds)} s")
    return statistics.median(seconds)


def _search(folder: Path, count: int) -> float:
    """Four processes that search a quarter of the vectors each, against one process that searches all."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, 384), dtype=np.float32)
    path, places = folder / "docs.npy", np.arange(count)
    np.save(path, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    queries = rng.standard_normal((1000, 384), dtype=np.float32)
    ratios, rates, found = [], [], []
    with searching.searcher(1) as one, searching.searcher(4) as four:
        for searcher in (one, four):
            searcher.top_k(queries[:4], path, 10, 65536, places)
        for _ in range(ROUNDS):
            seconds = []
            for searcher in (one, four):
                began = time.perf_counter()
                found.append(searcher.top_k(queries, path, 200, 65536, places))
                seconds.append(time.perf_counter() - began)
            ratios.append(seconds[0] / seconds[1])
            rates.append(path.stat().st_size / 1e9 / seconds[1])
    same = all((part == first).all() for result in found for part, first in zip(result, found[0]))
    click.echo(
        f"search in 4 shards by 4 processes: {_said(ratios)} of the speed of one process, {count:,} x 384, "
        f"1,000 queries, top 200, {statistics.median(rates):.2f} GB/s, {'the same' if same else 'ANOTHER'} result"
    )
    return statistics.median(ratios)


def _said(figures: list[float]) -> str:
    return f"{statistics.median(figures):.2f} (rounds: {', '.join(f'{one:.2f}' for one in figures)})"


if __name__ == "__main__":
    main()
