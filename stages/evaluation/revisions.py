"""Committed files of a git revision, and a row's per-query values there or in the workspace."""
import io
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.evaluation import significance
from stages.core.errors import UserError

QUERIES = "reports/queries.parquet"
KEYS = ("variant", "seed_run", "corpus", "split", "query_id")


class PerQuery(NamedTuple):
    """One row on one corpus, split and measure.

    values (copies, queries) are in the measure's unit, in the order of copies, which is that of their names, and of
    query_ids (queries,), which are sorted. clusters (queries,) and ranks (copies, queries), 0 where no relevant passage
    is in the run, are None where the table is of an earlier form that did not keep them.
    """
    values: np.ndarray
    copies: list[str]
    query_ids: np.ndarray
    clusters: np.ndarray | None
    ranks: np.ndarray | None


def commit(revision: str) -> str:
    """A revision's commit in git's short form. Raises UserError where git knows none of that name in this folder."""
    done = _git("rev-parse", "--verify", "--quiet", "--short", f"{revision}^{{commit}}")
    if done.returncode:
        raise UserError(f"{revision}: git knows no such revision here; name one that git log shows, or fetch it "
                      f"(a shallow clone is completed by git fetch --unshallow)")
    return done.stdout.decode().strip()


def read(revision: str, path: str) -> bytes:
    """A committed file as it is at a revision; path is relative to this folder.

    Raises UserError for an unknown revision and for a file that is not there.
    """
    done = _git("show", f"{commit(revision)}:./{path}")
    if done.returncode:
        raise UserError(f"{revision}: {path} is not committed there; name a revision that has it "
                      f"(git log --oneline -- {path} lists them)")
    return done.stdout


def table(revision: str | None = None, path: Path = Path(QUERIES)) -> pa.Table:
    """All per-query values of a revision, or of the workspace, where they lie at path.

    Raises UserError where the file is missing, is no parquet, or lacks a column that names a value.
    """
    if revision is None and not path.is_file():
        raise UserError(f"{path}: there is no such file here; run dvc repro from the repository's root")
    content = path.read_bytes() if revision is None else read(revision, str(path))
    try:
        found = pq.read_table(io.BytesIO(content))
    except pa.ArrowInvalid:
        raise UserError(f"{name_of(revision, path)}: is no parquet file; restore it with git checkout, or run dvc repro")
    if lacking := [key for key in KEYS if key not in found.column_names]:
        raise UserError(f"{name_of(revision, path)}: has no column {lacking[0]}; run dvc repro, or name another revision")
    return plain(found)


def plain(values: pa.Table) -> pa.Table:
    """The same table without dictionary-encoded columns, which pyarrow does not sort."""
    return pa.table({name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
                     for name, column in zip(values.column_names, values.columns)})


def name_of(revision: str | None, path: Path = Path(QUERIES)) -> str:
    """How the per-query table of a revision, or of the workspace, is named in messages."""
    return str(path) if revision is None else f"{revision}:{path}"


def rows(values: pa.Table, place, revision: str | None = None) -> list[str]:
    """The rows that have values on place (corpus, split, measure), in the table's order.

    Raises UserError where the table has no such measure, corpus or split; revision only names it.
    """
    measures = [field.name for field in values.schema if pa.types.is_floating(field.type)]
    if place.measure not in measures:
        raise UserError(f"{name_of(revision)}: has no measure {place.measure}; there are: {', '.join(measures)}")
    there = values.filter((pc.field("corpus") == place.corpus) & (pc.field("split") == place.split))
    if not len(there):
        pairs = dict.fromkeys(zip(values["corpus"].to_pylist(), values["split"].to_pylist()))
        raise UserError(f"{name_of(revision)}: has no queries of {place.corpus} {place.split}; "
                      f"there are: {', '.join(map(' '.join, pairs)) or 'none'}")
    return pc.unique(there["variant"]).to_pylist()


def per_query(values: pa.Table, row: str, place) -> PerQuery:
    """A row's values on place (corpus, split, measure), which it must have (see rows).

    Raises UserError where its copies do not hold the same queries, each once.
    """
    wanted = (pc.field("variant") == row) & (pc.field("corpus") == place.corpus) & (pc.field("split") == place.split)
    part = values.filter(wanted).sort_by([("seed_run", "ascending"), ("query_id", "ascending")])
    copies = pc.unique(part["seed_run"]).to_pylist()
    ids = part["query_id"].to_numpy()
    first = ids[:len(ids) // len(copies)]
    if len(np.unique(first)) < len(first) or not np.array_equal(ids, np.tile(first, len(copies))):
        raise UserError(f"{QUERIES}: the copies of row '{row}' do not hold the same queries of {place.corpus} "
                      f"{place.split}; run dvc repro")

    def column(name):
        return part[name].to_numpy().reshape(len(copies), -1) if name in part.column_names else None
    clusters = column("cluster")
    return PerQuery(column(place.measure), copies, first, None if clusters is None else clusters[0], column("rank"))


def common(one: PerQuery, other: PerQuery) -> tuple[PerQuery, PerQuery, np.ndarray]:
    """Both rows on the queries and seeds that both have, and the clusters (queries,) to draw them by.

    An untrained side has no seeds, and goes with all of the other's; where two trained sides share none, as many are
    taken of each as both have. Otherwise the spread over the seeds of one side alone would be left out.
    The clusters are those of `one`, else of `other`; where neither table kept them every query is its own.
    """
    ids, at_one, at_other = np.intersect1d(one.query_ids, other.query_ids, assume_unique=True, return_indices=True)
    one, other = _of_shared_seeds(_only(one, at_one), _only(other, at_other))
    named = [side.clusters for side in (one, other) if side.clusters is not None]
    return one, other, named[0] if named else ids


def change(one: PerQuery, other: PerQuery, clusters: np.ndarray, alpha: float, resamples: int) -> dict:
    """comparing.change of one - other on the same queries; the spread over seeds is that of the side with more."""
    if len(one.copies) >= len(other.copies):
        return significance.change(one.values, other.values, clusters, alpha, resamples)
    found = significance.change(other.values, one.values, clusters, alpha, resamples)
    return found | {"difference": -found["difference"], "low": -found["high"], "high": -found["low"],
                    "better": found["worse"], "worse": found["better"]}


def _of_shared_seeds(one: PerQuery, other: PerQuery) -> tuple[PerQuery, PerQuery]:
    if ["pretrained"] in (one.copies, other.copies):
        return one, other
    shared = [copy for copy in one.copies if copy in other.copies]
    count = min(len(one.copies), len(other.copies))
    return tuple(_of_copies(side, shared or side.copies[:count]) for side in (one, other))


def _of_copies(row: PerQuery, copies: list[str]) -> PerQuery:
    at = [row.copies.index(copy) for copy in copies]
    return row._replace(values=row.values[at], copies=copies, ranks=None if row.ranks is None else row.ranks[at])


def _only(row: PerQuery, at: np.ndarray) -> PerQuery:
    return PerQuery(row.values[:, at], row.copies, row.query_ids[at], None if row.clusters is None else
                    row.clusters[at], None if row.ranks is None else row.ranks[:, at])


def _git(*words: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(["git", *words], capture_output=True)
    except FileNotFoundError:
        raise UserError("git: is not installed, and earlier revisions are read with it; install it")
