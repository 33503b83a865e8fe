"""Which negatives a training query is shown: drawn from the whole collection, from a pool by rank, or as released."""
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PAIRS = pa.schema([("query_id", pa.string()), ("positive_id", pa.string())])


@dataclass(frozen=True)
class Forbidden:
    """What is never a negative: pairs are known to be relevant; passages are relevant to a judged query."""
    pairs: pa.Table      # query_id, doc_id
    passages: pa.Array   # doc_id

    def mask(self, queries: pa.Array, passages: pa.Array) -> np.ndarray:
        """For each (query, passage) whether it may not be a negative, as booleans."""
        known = pc.is_in(_key(queries, passages), value_set=_key(self.pairs["query_id"], self.pairs["doc_id"]))
        return np.asarray(pc.or_(known, pc.is_in(passages, value_set=self.passages)))


def numbered(name: str, each: int) -> list[str]:
    """The names of a column's `each` copies: negative, negative_2, negative_3 and so on."""
    return [name, *(f"{name}_{number}" for number in range(2, each + 1))]


def pairs(qrels: pa.Table, size: int, seed: int) -> pa.Table:
    """`size` (query, positive) pairs of grade >= 1 in seeded order; when they run out, the next shuffle begins."""
    relevant = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    rng = np.random.default_rng([seed, 0])
    order = np.concatenate([rng.permutation(len(relevant)) for _ in range(-(-size // len(relevant)))])[:size]
    chosen = relevant.take(pa.array(order))
    return pa.table([chosen["query_id"], chosen["doc_id"]], schema=PAIRS)


def uniform(chosen: pa.Table, doc_ids: pa.Array, forbidden: Forbidden, seed: int, each: int = 1) -> pa.Table:
    """`each` different negatives a pair, uniform over the collection; rank is 0.

    A draw that is forbidden, or that the pair already has, is drawn again, up to 50 times; a pair that still has one
    is left out.
    """
    rng = np.random.default_rng([seed, 1])
    numbers = np.empty((len(chosen), each), dtype=np.int64)
    kept = np.ones(len(chosen), dtype=bool)
    for place in range(each):
        drawn = rng.integers(len(doc_ids), size=len(chosen))
        for _ in range(50):
            wrong = forbidden.mask(chosen["query_id"], doc_ids.take(pa.array(drawn)))
            wrong |= (numbers[:, :place] == drawn[:, None]).any(axis=1)
            if not wrong.any():
                break
            drawn[wrong] = rng.integers(len(doc_ids), size=wrong.sum())
        kept &= ~wrong
        numbers[:, place] = drawn
    numbers = numbers[kept]
    return _drawn(chosen.filter(pa.array(kept)), [doc_ids.take(pa.array(column)) for column in numbers.T],
                  np.zeros_like(numbers))


def from_pool(chosen: pa.Table, pool: Path, block, forbidden: Forbidden, seed: int) -> tuple[pa.Table, int]:
    """A triplets block's negatives from its pool, and how many pairs were left out for its margins alone.

    A pair's candidates are its query's ranks first..last (counted from 1 over the whole ranking, both included) that
    are not forbidden and, with a margin, that the pool scores below the pair's positive: score < positive -
    absolute_margin and score < positive - |positive| x relative_margin (Moreira et al. 2024, NV-Retriever). A positive
    that the pool does not hold scores at most what the pool ranks last, so that no candidate passes.
    `each` different candidates are drawn uniformly, those before others that the query has been shown least. With draw
    one-rank it is the same place for every query, the window's middle, and where that is no candidate the next place
    after it. A pair with too few candidates is left out.
    Columns positive_score (null where the pool does not hold the positive) and negative_score are the pool's.
    One row group of the pool is held at once; a query is whole in one of them.
    """
    rng = np.random.default_rng([seed, 1])
    pairs_of = defaultdict(list)
    for pair, query in enumerate(chosen["query_id"].to_pylist()):
        pairs_of[query].append(pair)
    found, owners, left_out = [], [], 0
    file = pq.ParquetFile(pool)
    for group in range(file.num_row_groups):
        run = file.read_row_group(group)
        scores, places = run["score"].to_numpy(), _places(run)
        queries = [query for query in run["query_id"].unique().to_pylist() if query in pairs_of]
        here = [pair for query in queries for pair in pairs_of[query]]
        positives = dict(zip(here, _scores_of(chosen.take(pa.array(here, pa.int64())), run)))
        taken = {}
        for query, rows in _candidates(run, places, queries, block, forbidden, rng):
            shown = np.zeros(len(rows), dtype=np.int64)
            for pair in pairs_of[query]:
                below = np.flatnonzero(_below(scores[rows], positives[pair], block))
                picked = below[np.argsort(shown[below], kind="stable")[:block.negatives_per_query]]
                if len(picked) == block.negatives_per_query:
                    taken[pair] = rows[picked]
                    shown[picked] += block.sampling != "one-rank"
                else:
                    left_out += len(rows) >= block.negatives_per_query
        numbers = np.array(list(taken.values()), dtype=np.int64).reshape(-1, block.negatives_per_query)
        owners.extend(taken)
        found.append(_drawn(chosen.take(pa.array(list(taken), pa.int64())),
                            [run["doc_id"].take(pa.array(column)) for column in numbers.T], places[numbers],
                            np.array([positives[pair] for pair in taken], dtype=np.float32), scores[numbers]))
    return pa.concat_tables(found).take(pa.array(np.argsort(owners))), left_out


def released(docpairs: Path, size: int, forbidden: Forbidden, seed: int) -> pa.Table:
    """At most `size` of the triples that a collection itself releases, seeded, without those of forbidden negatives."""
    triples = pq.read_table(docpairs, memory_map=True)
    allowed = np.flatnonzero(~forbidden.mask(triples["query_id"], triples["negative_id"]))
    triples = triples.take(pa.array(np.random.default_rng([seed, 0]).permutation(allowed)[:size]))
    return _drawn(triples.select(PAIRS.names), [triples["negative_id"]], np.zeros((len(triples), 1)))


def _codes(run: pa.Table) -> np.ndarray:
    return np.asarray(run["query_id"].combine_chunks().dictionary_encode().indices)


def _places(run: pa.Table) -> np.ndarray:
    """The rank of each row of a run within its query, from 1."""
    codes = _codes(run)
    return np.arange(len(run)) - np.flatnonzero(np.diff(codes, prepend=-1))[codes] + 1


def _candidates(run: pa.Table, places: np.ndarray, queries: list[str], block, forbidden: Forbidden, rng):
    """Each query with the rows of a run that it may be shown, those to be shown first in front."""
    first, last = block.ranks
    codes = _codes(run)
    kept = (places >= first) & (places <= last)
    kept &= np.asarray(pc.is_in(run["query_id"], value_set=pa.array(queries, pa.string())))
    kept[kept] &= ~forbidden.mask(*(run.filter(pa.array(kept))[name] for name in ("query_id", "doc_id")))
    from_middle = (places - (first + last + 1) // 2) % (last - first + 1)
    order = from_middle if block.sampling == "one-rank" else rng.random(len(run))
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((order[rows], codes[rows]))]
    starts = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    return zip(run["query_id"].take(pa.array(rows[starts])).to_pylist(), np.split(rows, starts[1:]))


def _scores_of(chosen: pa.Table, run: pa.Table) -> np.ndarray:
    """The score that a run gives to each pair's positive, nan where it does not hold it."""
    run = run.filter(pc.is_in(run["doc_id"], value_set=chosen["positive_id"].unique()))
    at = pc.index_in(_key(chosen["query_id"], chosen["positive_id"]), value_set=_key(run["query_id"], run["doc_id"]))
    return np.append(run["score"].to_numpy(), np.float32(np.nan))[np.asarray(at.fill_null(len(run)))]


def _below(scores: np.ndarray, positive: np.float32, block) -> np.ndarray:
    """Which scores stay below a positive's by the block's margins; none of them where it is nan."""
    below = np.ones(len(scores), dtype=bool)
    if block.absolute_margin is not None:
        below &= scores < positive - block.absolute_margin
    if block.relative_margin is not None:
        below &= scores < positive - abs(positive) * block.relative_margin
    return below


def _drawn(chosen: pa.Table, negatives: list[pa.Array], ranks: np.ndarray, positive_scores: np.ndarray | None = None,
           scores: np.ndarray | None = None) -> pa.Table:
    """Pairs with their negatives; ranks and scores are (pairs, negatives a pair)."""
    columns = {"query_id": chosen["query_id"], "positive_id": chosen["positive_id"]}
    for place, number in enumerate(numbered("", len(negatives))):
        columns[f"negative_id{number}"] = negatives[place]
        columns[f"rank{number}"] = pa.array(ranks[:, place].astype(np.int32))
        if scores is not None:
            columns[f"negative_score{number}"] = pa.array(scores[:, place])
    if positive_scores is not None:
        columns["positive_score"] = pa.array(positive_scores, from_pandas=True)
    return pa.table(columns)


def _key(queries: pa.Array, passages: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(queries, passages, "\t")
