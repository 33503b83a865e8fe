"""Which negatives a training query gets: drawn from the whole collection, from a pool by rank, or as released."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.collections import canonical
from stages.collections.splits import sha256
from stages.core.errors import UserError
from stages.negatives.columns import PAIRS, triplets
from stages.negatives.leakage import Forbidden, keys
from stages.params.triplets import Triplets
from stages.retrieval import runs


class Drawn(NamedTuple):
    """Triplets without their texts, and how many pairs were left out for the block's margins alone."""

    triplets: pa.Table
    left_out: int


def draw(block: Triplets, collection: Path, pool: Path, forbidden: Forbidden, seed: int) -> Drawn:
    """A block's triplets for one seed; `pool` is a run, the collection's released triples, or the collection itself.

    Raises UserError where no passage is relevant to a training query.
    """
    queries = part(collection, block.share) if block.share < 1 else None
    if pool.name == "docpairs.parquet":
        return Drawn(released(pool, block.count, forbidden, seed, queries), 0)
    qrels = canonical.qrels(collection, "train")
    if queries is not None:
        qrels = qrels.filter(pc.is_in(qrels["query_id"], value_set=queries))
    if not pc.any(pc.greater_equal(qrels["grade"], 1)).as_py():
        raise UserError(f"corpora.{block.corpus}.train: no passage is relevant to a query; name another split")
    chosen = pairs(qrels, block.count, seed)
    if block.ranks:
        return from_pool(chosen, pool, block, forbidden, seed)
    return Drawn(uniform(chosen, canonical.doc_ids(collection), forbidden, seed, block.negatives_per_query), 0)


def part(collection: Path, share: float) -> pa.Array:
    """The ids of a share of the training queries, cluster by cluster in the order of the sha256 of their names.

    At least one cluster, and no more clusters than reach the share; the queries of a smaller share are among them.
    """
    topics = canonical.topics(collection, "train")
    clusters = topics["cluster"].to_pylist()
    order = sorted(range(len(topics)), key=lambda at: (sha256(clusters[at]), at))
    kept = order[: round(share * len(topics))]
    ends = {clusters[at] for at in order[len(kept) :]} & {clusters[at] for at in kept}  # a cluster that is cut in two
    whole = [at for at in kept if clusters[at] not in ends] or order[: clusters.count(clusters[order[0]])]
    return topics["query_id"].take(pa.array(sorted(whole))).combine_chunks()


def pairs(qrels: pa.Table, size: int, seed: int) -> pa.Table:
    """`size` (query, positive) pairs of grade >= 1 in seeded order; when they run out, the next shuffle begins."""
    relevant = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    rng = np.random.default_rng([seed, 0])
    order = np.concatenate([rng.permutation(len(relevant)) for _ in range(-(-size // len(relevant)))])[:size]
    chosen = relevant.take(pa.array(order))
    return pa.table([chosen["query_id"], chosen["doc_id"]], schema=PAIRS)


def uniform(
    chosen: pa.Table, doc_ids: pa.Array, forbidden: Forbidden, seed: int, negatives_per_query: int = 1
) -> pa.Table:
    """Each pair with different negatives, drawn uniformly from the collection; rank is 0.

    A draw that is forbidden, or that the pair already has, is drawn again, up to 50 times; a pair that still has one
    is left out.
    """
    rng = np.random.default_rng([seed, 1])
    rows = np.empty((len(chosen), negatives_per_query), dtype=np.int64)
    kept = np.ones(len(chosen), dtype=bool)
    for at in range(negatives_per_query):
        drawn = rng.integers(len(doc_ids), size=len(chosen))
        for _ in range(50):
            wrong = forbidden.mask(chosen["query_id"], doc_ids.take(pa.array(drawn)))
            wrong |= (rows[:, :at] == drawn[:, None]).any(axis=1)
            if not wrong.any():
                break
            drawn[wrong] = rng.integers(len(doc_ids), size=wrong.sum())
        kept &= ~wrong
        rows[:, at] = drawn
    rows = rows[kept]
    negatives = [doc_ids.take(pa.array(column)) for column in rows.T]
    return triplets(chosen.filter(pa.array(kept)), negatives, np.zeros_like(rows))


def from_pool(chosen: pa.Table, pool: Path, block: Triplets, forbidden: Forbidden, seed: int) -> Drawn:
    """Each pair with negatives from a pool.

    A pair's candidates are its query's ranks first..last (counted from 1 over the whole ranking, both included) that
    are not forbidden and, with a margin, that the pool scores below the pair's positive: score < positive -
    absolute_margin and score < positive - |positive| x relative_margin (Moreira et al. 2024, NV-Retriever). A positive
    that the pool does not hold scores at most what the pool ranks last, so that no candidate passes.

    `negatives_per_query` different candidates are drawn uniformly, those before others that the query has got least
    often. With sampling one-rank it is the same rank for every query, the window's middle, and where that is no
    candidate the next rank after it. A pair with too few candidates is left out.

    Columns positive_score (null where the pool does not hold the positive) and negative_score are the pool's.
    One row group of the pool is in memory at once; a query is whole in one of them.
    """
    rng = np.random.default_rng([seed, 1])
    pairs_of = defaultdict(list)
    for pair, query in enumerate(chosen["query_id"].to_pylist()):
        pairs_of[query].append(pair)
    parts, order, left_out = [], [], 0
    for run in chain([runs.RUN.empty_table()], runs.read(pool)):
        part, owners, without = _from_part(run, chosen, pairs_of, block, forbidden, rng)
        parts.append(part)
        order += owners
        left_out += without
    return Drawn(pa.concat_tables(parts).take(pa.array(np.argsort(order))), left_out)


def released(docpairs: Path, size: int, forbidden: Forbidden, seed: int, queries: pa.Array | None = None) -> pa.Table:
    """At most `size` of the triples that a collection itself releases, for some queries or for all, seeded.

    Those whose negative is forbidden, or has the text of their positive, are left out.
    """
    triples = pq.read_table(docpairs, memory_map=True)
    if queries is not None:
        triples = triples.filter(pc.is_in(triples["query_id"], value_set=queries))
    same = pc.equal(forbidden.first(triples["negative_id"]), forbidden.first(triples["positive_id"]))
    allowed = np.flatnonzero(~(forbidden.mask(triples["query_id"], triples["negative_id"]) | np.asarray(same)))
    triples = triples.take(pa.array(np.random.default_rng([seed, 0]).permutation(allowed)[:size]))
    return triplets(triples.select(PAIRS.names), [triples["negative_id"]], np.zeros((len(triples), 1)))


def _from_part(
    run: pa.Table,
    chosen: pa.Table,
    pairs_of: Mapping[str, list[int]],
    block: Triplets,
    forbidden: Forbidden,
    rng: np.random.Generator,
) -> tuple[pa.Table, list[int], int]:
    """The triplets of one part of a pool, the row of each in `chosen`, and how many pairs its margins left out."""
    queries = [query for query in run["query_id"].unique().to_pylist() if query in pairs_of]
    here = [pair for query in queries for pair in pairs_of[query]]
    scores, ranks = run["score"].to_numpy(), runs.ranks_in_query(run["query_id"])
    positives = dict(zip(here, _scores_of(chosen.take(pa.array(here, pa.int64())), run), strict=True))
    picked, left_out = {}, 0
    for query, rows in _candidates(run, ranks, queries, block, forbidden, rng):
        uses = np.zeros(len(rows), dtype=np.int64)
        for pair in pairs_of[query]:
            below = np.flatnonzero(_below(scores[rows], positives[pair], block))
            least_used = below[np.argsort(uses[below], kind="stable")[: block.negatives_per_query]]
            if len(least_used) == block.negatives_per_query:
                picked[pair] = rows[least_used]
                uses[least_used] += block.sampling != "one-rank"
            else:
                left_out += len(rows) >= block.negatives_per_query
    taken = np.array(list(picked.values()), dtype=np.int64).reshape(-1, block.negatives_per_query)
    drawn = triplets(
        chosen.take(pa.array(list(picked), pa.int64())),
        [run["doc_id"].take(pa.array(column)) for column in taken.T],
        ranks[taken],
        np.array([positives[pair] for pair in picked], dtype=np.float32),
        scores[taken],
    )
    return drawn, list(picked), left_out


def _candidates(
    run: pa.Table,
    ranks: np.ndarray,
    queries: list[str],
    block: Triplets,
    forbidden: Forbidden,
    rng: np.random.Generator,
) -> Iterator[tuple[str, np.ndarray]]:
    """Each query with the rows of a run that may be its negatives, in the order that they are drawn in."""
    assert block.ranks
    first, last = block.ranks
    codes = np.asarray(run["query_id"].combine_chunks().dictionary_encode().indices)
    kept = (ranks >= first) & (ranks <= last)
    kept &= np.asarray(pc.is_in(run["query_id"], value_set=pa.array(queries, pa.string())))
    in_window = run.filter(pa.array(kept))
    kept[kept] &= ~forbidden.mask(in_window["query_id"], in_window["doc_id"])
    from_middle = (ranks - (first + last + 1) // 2) % (last - first + 1)
    order = from_middle if block.sampling == "one-rank" else rng.random(len(run))
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((order[rows], codes[rows]))]
    starts = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    yield from zip(run["query_id"].take(pa.array(rows[starts])).to_pylist(), np.split(rows, starts[1:]), strict=False)


def _scores_of(chosen: pa.Table, run: pa.Table) -> np.ndarray:
    """The score that a run gives to each pair's positive, nan where it does not hold it."""
    run = run.filter(pc.is_in(run["doc_id"], value_set=chosen["positive_id"].unique()))
    at = pc.index_in(keys(chosen["query_id"], chosen["positive_id"]), value_set=keys(run["query_id"], run["doc_id"]))
    return np.append(run["score"].to_numpy(), np.float32(np.nan))[np.asarray(at.fill_null(len(run)))]


def _below(scores: np.ndarray, positive: np.float32, block: Triplets) -> np.ndarray:
    """Which scores are below a positive's by the block's margins; none of them where it is nan."""
    below = np.ones(len(scores), dtype=bool)
    if block.absolute_margin is not None:
        below &= scores < positive - block.absolute_margin
    if block.relative_margin is not None:
        below &= scores < positive - abs(positive) * block.relative_margin
    return below
