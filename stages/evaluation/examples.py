"""A few queries with what a base and a variant rank first, picked by rule, and where all relevant passages went."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections.excerpts import Excerpt
from stages.evaluation.differences import NOTHING
from stages.evaluation.per_query import PerQuery
from stages.params.report import Target
from stages.retrieval import runs

SHOWN = 5  # passages of each ranking
LENGTH = 140  # characters of a text
BANDS = {"1": 1, "2–3": 3, "4–10": 10, "11+": np.iinfo(np.int64).max}  # the last rank of each
ABSENT = "none"
KINDS = ("gain", "loss", "middle")


@dataclass(frozen=True)
class Hit:
    """A passage at a rank; `text` is None where the corpus may not be shown."""

    rank: int
    passage: str
    relevant: bool
    text: str | None = None


@dataclass(frozen=True)
class Example:
    """A query with the first passages of both rankings, and the rank of its first relevant passage in each (0: none).

    The change is in the measure's unit; `kind` is one of KINDS. `answer` is the passage that is judged best, and `more`
    counts other relevant ones. Texts are None where the corpus may not be shown.
    """

    kind: str
    query: str
    change: float
    rank_before: int
    rank_after: int
    before: Sequence[Hit]
    after: Sequence[Hit]
    answer: str
    more: int
    text: str | None = None
    answer_text: str | None = None


@dataclass(frozen=True)
class Examples:
    """What `variant` does to the queries of a target, by its seed run `seed_run`; `gained` and `lost` count queries.

    moves[i][j] counts queries whose first relevant passage the base has in band i (see `bands`) and the variant in
    band j. `shown` may be empty, and `texts` says whether the corpus may be shown; `origin` names its sources.
    """

    target: dict[str, str]
    base: str
    variant: str
    seed_run: str
    seed_runs: int
    queries: int
    gained: int
    lost: int
    bands: Sequence[str]
    moves: Sequence[Sequence[int]]
    texts: bool
    origin: Mapping[str, str]
    shown: Sequence[Example]


def picked(changes: np.ndarray) -> dict[str, int]:
    """Kind -> the position of its query: the largest gain, the largest loss, the median of all changes but 0.

    changes (queries,) are in the measure's unit. Of equal ones the first is taken; no query is of two kinds, and a kind
    that no query is of is left out.
    """
    changed = [at for at in np.argsort(changes, kind="stable") if abs(changes[at]) > NOTHING]
    if not changed:
        return {}
    wanted = {
        "gain": int(np.argmax(changes)) if changes.max() > NOTHING else None,
        "loss": int(np.argmin(changes)) if changes.min() < -NOTHING else None,
        "middle": int(np.argmax(np.abs(changes - changes[changed[(len(changed) - 1) // 2]]) <= NOTHING)),
    }
    found: dict[str, int] = {}
    for kind, at in wanted.items():
        if at is not None and at not in found.values():
            found[kind] = at
    return found


def moves(before: np.ndarray, after: np.ndarray) -> list[list[int]]:
    """How many queries went from which band of ranks (rows) to which (columns); ranks (queries,), 0 for not found."""
    ends = np.array([*BANDS.values()])
    counts = np.zeros((len(ends) + 1, len(ends) + 1), int)
    bands = [np.where(ranks > 0, np.searchsorted(ends, ranks), len(ends)) for ranks in (before, after)]
    np.add.at(counts, tuple(bands), 1)
    return counts.tolist()


def first(run: Iterable[pa.Table], query_ids: Sequence[str], relevant: Mapping[str, set[str]]) -> dict[str, list[Hit]]:
    """Query -> its first SHOWN passages in a run, in the run's order, without texts."""
    wanted = pa.array(query_ids, pa.string())
    hits: dict[str, list[Hit]] = {query: [] for query in query_ids}
    for part in run:
        rows = runs.first(part.filter(pc.is_in(part["query_id"], value_set=wanted)), SHOWN)
        for query, passage in zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True):
            hits[query].append(Hit(len(hits[query]) + 1, passage, passage in relevant.get(query, ())))
    return hits


def example(
    kind: str, at: int, sides: tuple[PerQuery, PerQuery], hits: tuple[list[Hit], list[Hit]], excerpt: Excerpt
) -> Example:
    """The query at a position of two variants that `common` gave, by their first seed runs, without texts."""
    before, after = sides
    assert before.ranks is not None and after.ranks is not None
    return Example(
        kind=kind,
        query=str(after.query_ids[at]),
        change=round(float(after.values[0, at] - before.values[0, at]), 6),
        rank_before=int(before.ranks[0, at]),
        rank_after=int(after.ranks[0, at]),
        before=hits[0],
        after=hits[1],
        answer=excerpt.passage_id,
        more=excerpt.more,
    )


def figures(target: Target, names: tuple[str, str], before: PerQuery, after: PerQuery) -> dict[str, Any]:
    """The figures of Examples from two variants that `common` gave, by the first seed run of each."""
    assert before.ranks is not None and after.ranks is not None
    changes = after.values[0] - before.values[0]
    return {
        "target": target.model_dump(),
        "base": names[0],
        "variant": names[1],
        "seed_run": after.seed_runs[0],
        "seed_runs": len(after.seed_runs),
        "queries": len(changes),
        "gained": int((changes > NOTHING).sum()),
        "lost": int((changes < -NOTHING).sum()),
        "bands": [*BANDS, ABSENT],
        "moves": moves(before.ranks[0], after.ranks[0]),
    }


def cut(words: str) -> str:
    """A text on one line, cut at LENGTH characters."""
    flat = " ".join(words.split())
    return flat if len(flat) <= LENGTH else f"{flat[:LENGTH].rstrip()} …"


def without_texts(examples: Examples) -> Examples:
    """The same with ids alone."""
    shown = [
        replace(
            one,
            before=[replace(hit, text=None) for hit in one.before],
            after=[replace(hit, text=None) for hit in one.after],
            text=None,
            answer_text=None,
        )
        for one in examples.shown
    ]
    return replace(examples, texts=False, shown=shown)


def as_json(examples: Examples | None) -> str:
    """null where no variant of the study can be chosen."""
    return json.dumps(None if examples is None else asdict(examples), indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> Examples | None:
    """What as_json wrote."""
    stored = json.loads(path.read_text())
    if stored is None:
        return None
    sides = ("before", "after")
    shown = [
        Example(**{**entry, **{side: [Hit(**hit) for hit in entry[side]] for side in sides}})
        for entry in stored["shown"]
    ]
    return Examples(**{**stored, "shown": shown})
