"""Vectors of a collection, shard by shard: whoever comes fills rows of one file and leaves a marker for each shard.

A shard is `index.block` rows of a parquet file of texts. Its batches stay inside it and its rows have their place, so
that the bytes do not depend on who encodes which shard, in what order, or how often. In a workspace that all share:

    <file>.part        all vectors of a file, made at its full size at once; <file>.npy when every shard is there
    <file>.done/<n>    shard n is on disk; holds how many of its texts were cut
    made-by.json       what computes (Maker): the same for all shards
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from stages.collections import canonical
from stages.core import space, threads
from stages.core.errors import UserError
from stages.models import caps, encoding, lengths, precision
from stages.params.report import Index

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAKER = "made-by.json"
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """An index that is made: by the model of a folder, from a collection, in a workspace. Paths are absolute."""

    model: Path
    collection: Path
    work: Path
    index: Index
    threads: int | None = None


class Shard(NamedTuple):
    """Rows start to stop of a file of texts, such as docs or topics/test; its `number` is from 0."""

    file: str
    number: int
    start: int
    stop: int


class Done(NamedTuple):
    rows: int
    seconds: float


@dataclass(frozen=True)
class Maker:
    """What computes the vectors, how many numbers each has, and at how many tokens texts of a role are cut."""

    precision: str
    device: str
    dimension: int
    tokens: dict[str, int | None]


def files(collection: Path) -> dict[str, int]:
    """The files of texts of a collection by their path without suffix -> rows; the passages come first."""
    paths = [collection / "docs.parquet", *sorted((collection / "topics").glob("*.parquet"))]
    return {path.relative_to(collection).with_suffix("").as_posix(): pq.read_metadata(path).num_rows for path in paths}


def of(job: Job) -> list[Shard]:
    """All shards of an index, in order."""
    block = job.index.block
    return [
        Shard(file, number, start, min(start + block, rows))
        for file, rows in files(job.collection).items()
        for number, start in enumerate(range(0, rows, block))
    ]


def missing(job: Job) -> list[Shard]:
    """The shards that nobody has finished."""
    return [shard for shard in of(job) if not _is_done(job.work, shard)]


def role(file: str) -> str:
    return "query" if file.startswith("topics/") else "document"


def worker(job: Job, tick: Tick = lambda n: None) -> Callable[[Shard], Done]:
    """Load the model once; returns what encodes a shard, writes its rows, flushes them and then leaves the marker.

    `tick` is called after each batch with the number of its texts. Raises UserError for longer texts than the model
    can read, and where other shards were computed in another precision or on another kind of device.
    """
    threads.limit(job.threads)
    index = job.index.model_copy(update={"precision": precision.chosen(job.index.precision)})
    model = encoding.load_encoder(job.model)
    try:
        caps.cut(model, *canonical.caps(job.collection))
    except UserError as error:
        raise UserError(f"corpora.{job.collection.name}.{error}")
    tokens = {each: caps.of(model, each) for each in ("query", "document")}
    maker = Maker(index.precision, precision.device(), model.get_embedding_dimension(), tokens)
    prepare(job, maker)
    return lambda shard: _encode(model, job, index, shard, tick)


def prepare(job: Job, maker: Maker) -> None:
    """Make the files of an index, unless another process has; raises UserError where that is another kind of maker."""
    with open(job.work / "prepare.lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (job.work / MAKER).exists():
            _write_durably(job.work / MAKER, json.dumps(asdict(maker)))
        first = made_by(job.work)
        if first != maker:
            raise UserError(
                f"{job.work}: shards here are computed in {first.precision} on {first.device}, and this is "
                f"{maker.precision} on {maker.device}; use one kind of device for an index, or remove that folder"
            )
        absent = {file: rows for file, rows in files(job.collection).items() if not _has_vectors(job.work, file)}
        _require_space(job, maker, sum(absent.values()))
        for file, rows in files(job.collection).items():
            (job.work / f"{file}.done").mkdir(parents=True, exist_ok=True)
            if file in absent:
                for marker in (job.work / f"{file}.done").iterdir():
                    marker.unlink()
                _allocate(job.work / f"{file}.part", job.index.dtype, (rows, maker.dimension))


def _has_vectors(work: Path, file: str) -> bool:
    return any((work / f"{file}{suffix}").exists() for suffix in (".part", ".npy"))


def _require_space(job: Job, maker: Maker, rows: int) -> None:
    """Raise UserError where the disk has no room for so many vectors."""
    size = rows * maker.dimension * np.dtype(job.index.dtype).itemsize
    smaller = "say index.dtype float16" if job.index.dtype == "float32" else ""
    space.require(job.work, size, f"the vectors of {job.collection.name}", smaller)


def made_by(work: Path) -> Maker:
    """What computed the shards of a workspace."""
    return Maker(**json.loads((work / MAKER).read_text()))


def finish(job: Job, file: str) -> tuple[Path, int]:
    """The path of a file's vectors, all shards being done, and how many of its texts were cut."""
    part, target = job.work / f"{file}.part", job.work / f"{file}.npy"
    if not target.exists():
        part.rename(target)
    shards = [shard for shard in of(job) if shard.file == file]
    return target, sum(int(_marker(job.work, shard).read_text()) for shard in shards)


def texts(path: Path, start: int, stop: int) -> list[str]:
    """The texts of rows start to stop of a parquet file; no row group but theirs is read."""
    file = pq.ParquetFile(path, memory_map=True)
    ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
    first, last = np.searchsorted(ends, [start, stop - 1], side="right")
    column = file.read_row_groups(range(first, last + 1), columns=["text"])["text"]
    return column.slice(start - (ends[first - 1] if first else 0), stop - start).to_pylist()


def _encode(model: SentenceTransformer, job: Job, index: Index, shard: Shard, tick: Tick) -> Done:
    began = time.perf_counter()
    read = texts(job.collection / f"{shard.file}.parquet", shard.start, shard.stop)
    of_tokens = lengths.in_tokens(model, read, role(shard.file))
    vectors = encoding.encode(model, read, index.batch_tokens, index.precision, tick, role(shard.file), of_tokens.read)
    if not _is_done(job.work, shard):  # by a process that a killed run left behind: then the file may be in use
        _put(job.work / f"{shard.file}.part", shard.start, vectors)
        _write_durably(_marker(job.work, shard), str(of_tokens.cut))
    return Done(len(read), time.perf_counter() - began)


def _put(path: Path, start: int, vectors: np.ndarray) -> None:
    """Write rows from `start` on, and flush them to disk.

    By write and not through a map: of a mapped file a network file system writes whole pages back, and with them the
    old bytes of a neighbour's rows.
    """
    mapped = np.load(path, mmap_mode="r")
    rows = np.ascontiguousarray(vectors, dtype=mapped.dtype)
    with open(path, "rb+") as file:
        file.seek(mapped.offset + start * mapped.strides[0])
        file.write(rows.data)
        file.flush()
        os.fsync(file.fileno())


def _allocate(path: Path, dtype: str, shape: tuple[int, int]) -> None:
    """A new file of vectors, for which the disk has room; raises OSError where it has none, before any work."""
    draft = path.with_name(f"{path.name}.draft")
    np.lib.format.open_memmap(draft, "w+", dtype, shape).flush()
    try:
        if hasattr(os, "posix_fallocate"):
            with open(draft, "rb+") as file:
                os.posix_fallocate(file.fileno(), 0, draft.stat().st_size)
    except OSError:
        draft.unlink()
        raise
    draft.rename(path)


def _marker(work: Path, shard: Shard) -> Path:
    return work / f"{shard.file}.done" / f"{shard.number:06d}"


def _is_done(work: Path, shard: Shard) -> bool:
    return _marker(work, shard).exists() and _has_vectors(work, shard.file)


def _write_durably(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with open(draft, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.rename(path)
