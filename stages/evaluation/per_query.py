"""Per-query values of variants: the table that evaluation writes, and two variants on the queries that both have.

The table (reports/queries.parquet) has the columns variant, seed_run, corpus, split, query_id, cluster, rank (that of
the first relevant passage, 0 where the run has none), and one for each measure.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core.errors import UserError
from stages.evaluation import significance
from stages.evaluation.comparison import Comparison
from stages.params.report import Target

TABLE = Path("reports/queries.parquet")
KEYS = ("variant", "seed_run", "corpus", "split", "query_id")
BASE_CHECKPOINT = ["pretrained"]


@dataclass(frozen=True, eq=False)
class PerQuery:
    """One variant on one target.

    values (seed runs, queries) are in the measure's unit, in the order of seed_runs (their names, sorted) and of
    query_ids (queries,), sorted too. clusters (queries,) and ranks (seed runs, queries), of the first relevant passage
    and 0 where the run has none, are None where the table is of an earlier form that did not keep them.
    """

    values: np.ndarray
    seed_runs: list[str]
    query_ids: np.ndarray
    clusters: np.ndarray | None
    ranks: np.ndarray | None

    @property
    def mean(self) -> float:
        """The mean over seed runs and queries."""
        return float(self.values.mean())

    def ranks_of(self, query: int) -> np.ndarray | None:
        """The ranks (seed runs,) of the query at this position; None where they are not known."""
        return None if self.ranks is None else self.ranks[:, query]

    def take(self, queries: np.ndarray) -> "PerQuery":
        """The same variant on the queries at these positions, in their order."""
        return PerQuery(
            self.values[:, queries],
            self.seed_runs,
            self.query_ids[queries],
            None if self.clusters is None else self.clusters[queries],
            None if self.ranks is None else self.ranks[:, queries],
        )


def read(path: Path = TABLE) -> pa.Table:
    """The per-query table of the workspace. Raises UserError where it is missing, no parquet, or lacks a column."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file here; run dvc repro from the repository's root")
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, name: str, renamed: Callable[[pa.Table], pa.Table] = lambda table: table) -> pa.Table:
    """The table in a parquet file's bytes, its columns `renamed`; `name` stands for it in errors.

    Columns are not dictionary-encoded, as pyarrow does not sort those. Raises UserError where the bytes are no parquet
    or a column that names a value is missing.
    """
    try:
        table = renamed(plain(pq.read_table(pa.BufferReader(content))))
    except pa.ArrowInvalid:
        raise UserError(f"{name}: is no parquet file; restore it with git checkout, or run dvc repro")
    if lacking := [key for key in KEYS if key not in table.column_names]:
        raise UserError(f"{name}: has no column {lacking[0]}; run dvc repro, or name another revision")
    return table


def plain(table: pa.Table) -> pa.Table:
    """The same table without dictionary-encoded columns."""
    columns = (
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    )
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


def variants(table: pa.Table, target: Target, name: str = str(TABLE)) -> list[str]:
    """The variants that have values on a target, in the table's order.

    Raises UserError where the table, called `name`, has no such measure, or no queries of that corpus and split.
    """
    measures = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    if target.measure not in measures:
        raise UserError(f"{name}: has no measure {target.measure}; there are: {', '.join(measures)}")
    part = on(table, target.corpus, target.split)
    if not len(part):
        pairs = dict.fromkeys(zip(table["corpus"].to_pylist(), table["split"].to_pylist(), strict=True))
        known = ", ".join(map(" ".join, pairs)) or "none"
        raise UserError(f"{name}: has no queries of {target.corpus} {target.split}; there are: {known}")
    return pc.unique(part["variant"]).to_pylist()


def on(table: pa.Table, corpus: str, split: str) -> pa.Table:
    """The values of all variants on a split of a corpus."""
    return table.filter((pc.field("corpus") == corpus) & (pc.field("split") == split))


def of(table: pa.Table, variant: str, target: Target) -> PerQuery:
    """A variant's values on a target, which it must have (see variants).

    Raises UserError where its seed runs do not hold the same queries, each once.
    """
    part = on(table, target.corpus, target.split).filter(pc.field("variant") == variant)
    part = part.sort_by([("seed_run", "ascending"), ("query_id", "ascending")])
    seed_runs = pc.unique(part["seed_run"]).to_pylist()
    ids = part["query_id"].to_numpy()
    query_ids = ids[: len(ids) // len(seed_runs)]
    if len(np.unique(query_ids)) < len(query_ids) or not np.array_equal(ids, np.tile(query_ids, len(seed_runs))):
        raise UserError(
            f"{TABLE}: the seed runs of variant '{variant}' do not hold the same queries of {target.corpus} "
            f"{target.split}; run dvc repro"
        )

    def column(name: str) -> np.ndarray | None:
        return part[name].to_numpy().reshape(len(seed_runs), -1) if name in part.column_names else None

    values, clusters = part[target.measure].to_numpy().reshape(len(seed_runs), -1), column("cluster")
    return PerQuery(values, seed_runs, query_ids, None if clusters is None else clusters[0], column("rank"))


def common(one: PerQuery, other: PerQuery) -> tuple[PerQuery, PerQuery]:
    """Both variants on the queries and seeds that both have.

    A variant without fine-tuning has no seeds, and goes with all of the other's; where two fine-tuned ones share none,
    as many are taken of each as both have. Otherwise the spread over the seeds of one side alone would be left out.
    """
    _, at_one, at_other = np.intersect1d(one.query_ids, other.query_ids, assume_unique=True, return_indices=True)
    one, other = one.take(at_one), other.take(at_other)
    if BASE_CHECKPOINT in (one.seed_runs, other.seed_runs):
        return one, other
    shared = [seed_run for seed_run in one.seed_runs if seed_run in other.seed_runs]
    count = min(len(one.seed_runs), len(other.seed_runs))
    return _of_seed_runs(one, shared or one.seed_runs[:count]), _of_seed_runs(other, shared or other.seed_runs[:count])


def compare(one: PerQuery, other: PerQuery, significance_level: float, resamples: int) -> Comparison:
    """significance.compare of one with other, on the queries and seeds that `common` gives them.

    The spread over seeds is that of the side with more. Clusters are those of `one`, else of `other`; where neither
    table kept them every query is its own.
    """
    clusters = next((side.clusters for side in (one, other) if side.clusters is not None), one.query_ids)
    if len(one.seed_runs) >= len(other.seed_runs):
        return significance.compare(one.values, other.values, clusters, significance_level, resamples)
    return significance.compare(other.values, one.values, clusters, significance_level, resamples).reversed()


def _of_seed_runs(side: PerQuery, seed_runs: list[str]) -> PerQuery:
    at = [side.seed_runs.index(seed_run) for seed_run in seed_runs]
    ranks = None if side.ranks is None else side.ranks[at]
    return replace(side, values=side.values[at], seed_runs=seed_runs, ranks=ranks)
