"""The smallest change that so many queries can show, from how far queries moved in a study that was run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError
from stages.evaluation import per_query
from stages.evaluation.significance import POWER

GUESSED = 0.25


class Spread(NamedTuple):
    """The standard deviation over queries of variant - base, in the measure's unit, and where it is from."""

    value: float
    origin: str


def spread(measure: str, path: Path = per_query.TABLE) -> Spread:
    """The median over the fine-tuned variants of a per-query table; a guess where there is no such table."""
    try:
        table = per_query.read(path)
    except UserError:
        return Spread(GUESSED, f"a guess, as there is no {path}")
    if measure not in table.column_names or "base" not in table["variant"].unique().to_pylist():
        return Spread(GUESSED, f"a guess, as {path} has no {measure} of a variant called base")
    values = {name: _values(table, name, measure) for name in table["variant"].unique().to_pylist()}
    base = values.pop("base")
    values.pop("bm25", None)
    spreads = [
        float(np.std([own[key] - base[key] for key in own if key in base], ddof=1))
        for own in values.values()
        if len(own) > 1
    ]
    moved = [value for value in spreads if value > 0]
    if not moved:
        return Spread(GUESSED, f"a guess, as no variant of {path} moved a query")
    return Spread(float(np.median(moved)), f"the median of {len(moved)} variants against the base in {path}")


def detectable(deviation: float, queries: int, significance: float = 0.05) -> float:
    """The minimum detectable effect of a two-sided test over so many independent queries at 80 % power (Cohen 1988)."""
    from scipy.stats import norm

    reach = norm.ppf(1 - significance / 2) + norm.ppf(POWER)
    return float(reach * deviation / math.sqrt(queries)) if queries else math.inf


def needed(deviation: float, change: float, significance: float = 0.05) -> int:
    """How many queries show a change of this size, in the measure's unit."""
    from scipy.stats import norm

    reach = norm.ppf(1 - significance / 2) + norm.ppf(POWER)
    return math.ceil((reach * deviation / change) ** 2)


def _values(table: pa.Table, variant: str, measure: str) -> dict[tuple[str, str, str], float]:
    """(corpus, split, query) -> the value of a variant's first seed run."""
    own = table.filter(pc.equal(table["variant"], variant))
    own = own.filter(pc.equal(own["seed_run"], own["seed_run"][0]))
    keys = zip(*(own[name].to_pylist() for name in ("corpus", "split", "query_id")), strict=True)
    return dict(zip(keys, own[measure].to_pylist(), strict=True))
