"""Several runs fused into one, by the ranks or by the scores of what each of them ranks."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pyarrow as pa

from stages.retrieval import ranking, runs

STEPS = 10  # the weights that are tried are multiples of 1 / STEPS


def reciprocal_ranks(members: Sequence[pa.Table], k: int, depth: int) -> pa.Table:
    """The runs fused: a passage's score is the sum of 1 / (k + its rank, from 1) over the runs that rank it.

    Cormack, Clarke and Büttcher 2009, Reciprocal Rank Fusion outperforms Condorcet and Individual Rank Learning
    Methods. `depth` passages a query are kept, in the order of `ranking`.
    """
    return _summed(members, [1 / (k + runs.ranks_in_query(member["query_id"])) for member in members], depth)


def weighted_sum(members: Sequence[pa.Table], weights: Sequence[float], depth: int) -> pa.Table:
    """The runs fused: a passage's score is the sum, over the runs that rank it, of weight x score from 0 to 1.

    Each run's scores of a query are put between 0 and 1 by their lowest and highest (min-max), as in Bruch, Gai and
    Ingber 2023, An Analysis of Fusion Functions for Hybrid Retrieval; a passage that a run does not rank gets nothing
    from it. Where all scores of a query are equal each is 1: a single passage that a run found is its best.
    """
    return _summed(
        members, [weight * _from_0_to_1(member) for weight, member in zip(weights, members, strict=True)], depth
    )


def grid(members: int) -> Iterator[tuple[float, ...]]:
    """Weights for so many members that add up to 1, in steps of 1 / STEPS: 11 for two, 66 for three."""
    for parts in product(range(STEPS + 1), repeat=members):
        if sum(parts) == STEPS:
            yield tuple(part / STEPS for part in parts)


def best(measured: dict[tuple[float, ...], float]) -> tuple[float, ...]:
    """The weights with the highest value; among equals the most even ones, of these the first by number."""
    return min(measured, key=lambda weights: (-measured[weights], max(weights), weights))


def _from_0_to_1(run: pa.Table) -> np.ndarray:
    """The scores (n,) of a run, each query's from 0, its lowest, to 1, its highest."""
    query = run["query_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    scores = run["score"].to_numpy().astype(np.float64)
    low, high = np.full(query.max(initial=-1) + 1, np.inf), np.full(query.max(initial=-1) + 1, -np.inf)
    np.minimum.at(low, query, scores)
    np.maximum.at(high, query, scores)
    span = (high - low)[query]
    return np.where(span > 0, (scores - low[query]) / np.where(span > 0, span, 1), 1.0)


def _summed(members: Sequence[pa.Table], parts: Sequence[np.ndarray], depth: int) -> pa.Table:
    """The run of all that the members rank, each passage scored by the sum of its parts, (n,) a member.

    Queries come in the order in which the members have them.
    """
    both = pa.concat_tables([member.select(["query_id", "doc_id"]) for member in members])
    queries, passages = (both[name].combine_chunks().dictionary_encode() for name in both.column_names)
    pairs = queries.indices.to_numpy().astype(np.int64) * len(passages.dictionary) + passages.indices.to_numpy()
    found, at = np.unique(pairs, return_inverse=True)
    scores = np.bincount(at, weights=np.concatenate(parts), minlength=len(found))
    query, passage = np.divmod(found, max(len(passages.dictionary), 1))
    order = ranking.order(scores, ranking.places(passages.dictionary)[passage], query)
    columns = [queries.dictionary.take(pa.array(query[order])), passages.dictionary.take(pa.array(passage[order]))]
    return runs.first(pa.table([*columns, pa.array(scores[order], pa.float32())], schema=runs.RUN), depth)
