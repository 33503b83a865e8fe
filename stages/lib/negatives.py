"""Which negative a training query is shown: drawn from the whole collection, from a pool by rank, or as released."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PAIRS = pa.schema([("query_id", pa.string()), ("positive_id", pa.string())])
DRAWN = pa.schema([*PAIRS, ("negative_id", pa.string()), ("rank", pa.int32())])


@dataclass(frozen=True)
class Forbidden:
    """What is never a negative: pairs are known to be relevant; passages are relevant to a judged query."""
    pairs: pa.Table      # query_id, doc_id
    passages: pa.Array   # doc_id

    def mask(self, queries: pa.Array, passages: pa.Array) -> np.ndarray:
        """For each (query, passage) whether it may not be a negative, as booleans."""
        known = pc.is_in(_key(queries, passages), value_set=_key(self.pairs["query_id"], self.pairs["doc_id"]))
        return np.asarray(pc.or_(known, pc.is_in(passages, value_set=self.passages)))


def pairs(qrels: pa.Table, size: int, seed: int) -> pa.Table:
    """`size` (query, positive) pairs of grade >= 1 in seeded order; when they run out, the next shuffle begins."""
    relevant = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    rng = np.random.default_rng([seed, 0])
    order = np.concatenate([rng.permutation(len(relevant)) for _ in range(-(-size // len(relevant)))])[:size]
    chosen = relevant.take(pa.array(order))
    return pa.table([chosen["query_id"], chosen["doc_id"]], schema=PAIRS)


def uniform(chosen: pa.Table, doc_ids: pa.Array, forbidden: Forbidden, seed: int) -> pa.Table:
    """One negative a pair, uniform over the collection; rank is 0. A forbidden draw is drawn again, up to 50 times."""
    rng = np.random.default_rng([seed, 1])
    drawn = rng.integers(len(doc_ids), size=len(chosen))
    for _ in range(50):
        wrong = forbidden.mask(chosen["query_id"], doc_ids.take(pa.array(drawn)))
        if not wrong.any():
            break
        drawn[wrong] = rng.integers(len(doc_ids), size=wrong.sum())
    kept = pa.array(~wrong)
    return _drawn(chosen, doc_ids.take(pa.array(drawn)), np.zeros(len(chosen))).filter(kept)


def from_pool(chosen: pa.Table, pool: Path, ranks: tuple[int, int], one_rank: bool, forbidden: Forbidden,
              seed: int) -> pa.Table:
    """One negative a pair from its query's ranks first..last (counted from 1 over the whole ranking, both included).

    Uniform over what is allowed in the window; with `one_rank` the same place for every query, the window's middle,
    and where that is forbidden the next place after it. A pair without an allowed candidate is left out.
    """
    rng = np.random.default_rng([seed, 1])
    needed = pc.value_counts(chosen["query_id"])
    uses = dict(zip(needed.field("values").to_pylist(), needed.field("counts").to_pylist()))
    first, last = ranks
    middle = (first + last + 1) // 2
    queue: dict[str, list[tuple[str, int]]] = {}
    file = pq.ParquetFile(pool)
    for group in range(file.num_row_groups):
        run = file.read_row_group(group, columns=["query_id", "doc_id"])
        codes = np.asarray(run["query_id"].combine_chunks().dictionary_encode().indices)
        place = np.arange(len(run)) - np.flatnonzero(np.diff(codes, prepend=-1))[codes] + 1
        kept = (place >= first) & (place <= last)
        kept &= np.asarray(pc.is_in(run["query_id"], value_set=needed.field("values")))
        kept[kept] &= ~forbidden.mask(*(run.filter(pa.array(kept))[name] for name in ("query_id", "doc_id")))
        priority = (place - middle) % (last - first + 1) if one_rank else rng.random(len(run))
        rows = np.flatnonzero(kept)
        rows = rows[np.lexsort((priority[rows], codes[rows]))]
        found = run.take(pa.array(rows)).to_pydict()
        for query, passage, rank in zip(found["query_id"], found["doc_id"], place[rows].tolist()):
            line = queue.setdefault(query, [])
            if len(line) < (1 if one_rank else uses[query]):
                line.append((passage, rank))
    turn: dict[str, int] = {}
    negatives, kept = [], []
    for query in chosen["query_id"].to_pylist():
        line = queue.get(query)
        kept.append(bool(line))
        if line:
            negatives.append(line[turn.get(query, 0) % len(line)])
            turn[query] = turn.get(query, 0) + 1
    return _drawn(chosen.filter(pa.array(kept, pa.bool_())), pa.array([n for n, _ in negatives], pa.string()),
                  np.array([r for _, r in negatives]))


def released(docpairs: Path, size: int, forbidden: Forbidden, seed: int) -> pa.Table:
    """At most `size` of the triples that a collection itself releases, seeded, without those of a forbidden negative."""
    triples = pq.read_table(docpairs, memory_map=True)
    allowed = np.flatnonzero(~forbidden.mask(triples["query_id"], triples["negative_id"]))
    triples = triples.take(pa.array(np.random.default_rng([seed, 0]).permutation(allowed)[:size]))
    return _drawn(triples.select(PAIRS.names), triples["negative_id"], np.zeros(len(triples)))


def _drawn(chosen: pa.Table, negatives: pa.Array, ranks: np.ndarray) -> pa.Table:
    return pa.table([chosen["query_id"], chosen["positive_id"], negatives, pa.array(ranks.astype(np.int32))],
                    schema=DRAWN)


def _key(queries: pa.Array, passages: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(queries, passages, "\t")
