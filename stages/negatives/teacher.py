"""A teacher's scores of triplets: of every positive and every negative, in the place of a pool's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from stages.core.errors import UserError
from stages.core.files import publish
from stages.negatives.columns import numbered
from stages.negatives.leakage import keys

SCORES = ("query_id", "doc_id", "score")
PAIRS = 4096  # that are scored and kept as a whole
Score = Callable[[list[str], list[str]], np.ndarray]  # queries, passages -> a number for each pair


def negatives(triplets: pa.Table) -> int:
    """How many negatives each triplet has."""
    return sum(name.startswith("negative_id") for name in triplets.column_names)


def by_model(triplets: pa.Table, score: Score, work: Path) -> np.ndarray:
    """The scores (n, 1 + negatives) of n triplets' passages, float32; blocks of PAIRS in `work` survive a kill."""
    names = ["positive", *numbered("negative", negatives(triplets))]
    queries = triplets["anchor"].to_pylist() * len(names)
    passages = [text for name in names for text in triplets[name].to_pylist()]
    for start in range(0, len(passages), PAIRS):
        path = work / f"{start:09d}.npy"
        if not path.exists():
            scores = score(queries[start : start + PAIRS], passages[start : start + PAIRS])
            with publish(path) as draft, open(draft, "wb") as file:
                np.save(file, scores.astype(np.float32))
    parts = [np.load(path) for path in sorted(work.glob("*.npy"))]
    return np.concatenate(parts).reshape(len(names), -1).T


def by_file(triplets: pa.Table, path: Path) -> np.ndarray:
    """The scores (n, 1 + negatives) that a file gives n triplets' pairs, float32, nan where it has none.

    It is parquet, or tsv with a header line: query_id, doc_id, score. Raises UserError for a file without these
    columns, for a score that is no number, and for a pair that has two.
    """
    known = _read(path)
    named = keys(known["query_id"], known["doc_id"])
    if len(pc.unique(named)) < len(named):
        twice = next(pair for pair, count in _counts(named) if count > 1)
        raise UserError(f"{path}: scores query and passage {' and '.join(twice.split(chr(9)))} twice; leave one line")
    scores = np.append(known["score"].to_numpy(), np.nan)
    at = [
        pc.fill_null(pc.index_in(keys(triplets["query_id"], triplets[name]), value_set=named), len(known)).to_numpy()
        for name in ["positive_id", *numbered("negative_id", negatives(triplets))]
    ]
    return scores[np.column_stack(at)].astype(np.float32)


def with_scores(triplets: pa.Table, scores: np.ndarray) -> pa.Table:
    """Triplets with scores (n, 1 + negatives) as positive_score, negative_score, negative_score_2 and so on.

    They stand where those of a pool stood, or last. A triplet with a passage that has none (nan) is left out.
    """
    for at, name in enumerate(["positive_score", *numbered("negative_score", scores.shape[1] - 1)]):
        column = pa.array(scores[:, at], pa.float32())
        if name in triplets.column_names:
            triplets = triplets.set_column(triplets.column_names.index(name), name, column)
        else:
            triplets = triplets.append_column(name, column)
    return triplets.filter(pa.array(np.isfinite(scores).all(axis=1)))


def _read(path: Path) -> pa.Table:
    """The three columns of a file of scores: ids as text, scores as float64."""
    texts = dict.fromkeys(SCORES, pa.string())
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
        else:
            table = pyarrow.csv.read_csv(
                path,
                parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
                convert_options=pyarrow.csv.ConvertOptions(column_types=texts),
            )
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]})")
    if missing := [name for name in SCORES if name not in table.column_names]:
        raise UserError(f"{path}: has no column {missing[0]}; name its columns {', '.join(SCORES)}")
    types = {"query_id": pa.string(), "doc_id": pa.string(), "score": pa.float64()}
    try:
        return pa.table({name: table[name].cast(kind).combine_chunks() for name, kind in types.items()})
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: a score is no number ({error})")


def _counts(values: pa.Array) -> Iterator[tuple[str, int]]:
    for entry in pc.value_counts(values):
        yield entry["values"].as_py(), entry["counts"].as_py()
