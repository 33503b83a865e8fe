"""Exact search of a file of vectors by one process or several, each of which reads shards of it and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import UserError
from stages.retrieval import bm25, dense

BETWEEN = 0.5
RESULTS = 16_000_000  # scores that all shards together hand over at a time

Found = tuple[np.ndarray, np.ndarray]  # scores and row numbers, both (queries, depth)


@dataclass
class Searcher:
    """Searches `shards` equal parts of a file; `read` are the bytes read of it so far, `seconds` the time it took."""

    pool: Executor | None = None
    shards: int = 1
    read: int = 0
    seconds: float = 0.0

    @property
    def gigabytes_per_second(self) -> float:
        return self.read / 1e9 / self.seconds if self.seconds else 0.0

    def together(self, depth: int, least: int) -> int:
        """How many queries to search at a time, so that the file is read as few times as memory allows."""
        return max(least, RESULTS // (max(1, depth) * self.shards) // least * least)

    def top_k(
        self, queries: np.ndarray, path: Path, depth: int, block: int, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What dense.top_k finds for the queries in the vectors of a .npy file, places (n,) being those of its rows."""
        began, vectors = time.perf_counter(), np.load(path, mmap_mode="r")
        ends = np.linspace(0, len(vectors), min(self.shards, max(1, len(vectors))) + 1).astype(int).tolist()
        parts = [(queries, path, depth, block, start, stop, places[start:stop]) for start, stop in pairwise(ends)]
        found = self._each(_shard, parts)
        self.read += vectors.nbytes
        self.seconds += time.perf_counter() - began
        return found[0] if len(found) == 1 else dense.merged(found, min(depth, len(vectors)), places)

    def lexical(self, texts: list[str], index: Path, depth: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What bm25.top_k finds for the texts of queries, of which each process searches some."""
        size = max(1, -(-len(texts) // self.shards))
        parts = [(texts[at : at + size], index, depth, places) for at in range(0, max(1, len(texts)), size)]
        scores, rows = zip(*self._each(_queries, parts), strict=True)
        return np.concatenate(scores), np.concatenate(rows)

    def _each(self, search: Callable[[Any], Found], parts: list[Any]) -> list[Found]:
        """Raises UserError where a process is killed."""
        try:
            return list(map(search, parts) if self.pool is None else self.pool.map(search, parts))
        except BrokenProcessPool:
            raise UserError("a process that searched was killed; is memory short? lower scale.search.processes")


@contextmanager
def searcher(processes: int) -> Iterator[Searcher]:
    """A Searcher of as many shards as processes, which share the cores; one process searches the file as a whole."""
    if processes == 1:
        yield Searcher()
        return
    import faiss

    each = max(1, faiss.omp_get_max_threads() // processes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (each, os.getpid())) as pool:
        yield Searcher(pool, processes)


def _begin(count: int, parent: int) -> None:
    """Search with so many threads, and end with the process that began this one, also where that is killed."""
    import faiss

    faiss.omp_set_num_threads(count)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(BETWEEN)
    os._exit(1)


def _queries(part: tuple[list[str], Path, int, np.ndarray]) -> Found:
    return bm25.top_k(*part)


def _shard(part: tuple[np.ndarray, Path, int, int, int, int, np.ndarray]) -> Found:
    queries, path, depth, block, start, stop, places = part
    scores, rows = dense.top_k(queries, np.load(path, mmap_mode="r")[start:stop], depth, block, places)
    return scores, rows + start
