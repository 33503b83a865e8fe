"""What the negatives of a draw of triplets are: how hard, how often a false negative, and from which ranks.

A draw is a table as stages.triplets writes it: query_id, positive_id, negative_id, rank (0: drawn from no ranking),
anchor, positive, negative. Nothing here relies on how it was drawn: what must not occur is counted all the same.
"""
import statistics

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections.near_duplicates import shingles

JACCARD = 0.7    # from here on two texts are near duplicates
EXACT = 20       # a window of at most so many ranks has one bin a rank,
BINS = 10        # a wider one this many
STEP = 0.05      # width of a bin of score gaps
BLOCK = 65_536   # triplets whose vectors are in memory at once


def figures(draw: pa.Table, qrels: pa.Table, judged: list[str], gaps: np.ndarray | None) -> dict:
    """One draw in numbers: how many of what, and shares of its triplets between 0 and 1.

    qrels has query_id, doc_id, grade and the split each judgment belongs to; `judged` names the splits that are
    measured, all others teach. gaps are those of `score_gaps`; without them mean_gap and above_positive are None.
    """
    measured = pc.is_in(qrels["split"], value_set=pa.array(judged, pa.string()))
    _, by_judged = relevant(draw, qrels.filter(measured))
    _, by_training = relevant(draw, qrels.filter(pc.invert(measured)))
    own, _ = relevant(draw, qrels)
    uses = pc.value_counts(draw["negative_id"]).field("counts")
    return {"triplets": len(draw), "queries": pc.count_distinct(draw["query_id"]).as_py(), "negatives": len(uses),
            "most_used_negative": pc.max(uses).as_py(),
            "mean_gap": None if gaps is None else float(gaps.mean()),
            "above_positive": None if gaps is None else float((gaps < 0).mean()),
            "near_duplicates": float(near_duplicates(draw).mean()), "relevant_to_own_query": float(own.mean()),
            "relevant_to_judged_query": float(by_judged.mean()),
            "relevant_to_training_query": float(by_training.mean())}


def relevant(draw: pa.Table, qrels: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Whether each negative is relevant (grade >= 1) to its own query, and to any other one: two (n,) of booleans."""
    known = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    queries = _codes(draw["query_id"], known["query_id"])
    passages = _codes(draw["negative_id"], known["doc_id"])
    width = passages.max() + 1
    shown, listed = np.split(queries * width + passages, [len(draw)])
    listed = np.unique(listed)
    own = np.isin(shown, listed)
    askers = np.bincount(listed % width, minlength=width)[passages[:len(draw)]]
    return own, askers > own


def near_duplicates(draw: pa.Table) -> np.ndarray:
    """Whether each negative repeats a positive that the draw shows for the same query: (n,) of booleans.

    It does from a Jaccard index of 0.7 between the sets of 5-word shingles (Broder 1997).
    """
    queries = _codes(draw["query_id"])
    order = np.argsort(queries, kind="stable")
    found = np.zeros(len(draw), bool)
    for rows in np.split(order, np.flatnonzero(np.diff(queries[order])) + 1):
        positives = [shingles(text) for text in {draw["positive"][row].as_py() for row in rows}]
        for row in rows:
            negative = shingles(draw["negative"][row].as_py())
            found[row] = any(len(negative & text) >= JACCARD * len(negative | text) for text in positives)
    return found


def score_gaps(queries: np.ndarray, passages: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How far each positive scores above its negative, query . positive - query . negative: (n,), below 0 where not.

    queries and passages are unit vectors (any, d), in memory or mapped; rows (n, 3) are the row numbers of a triplet's
    query, positive and negative in them.
    """
    gaps = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        query, positive, negative = rows[start:start + BLOCK].T
        beside = passages[positive].astype(np.float64) - passages[negative]
        gaps[start:start + BLOCK] = np.einsum("ij,ij->i", queries[query].astype(np.float64), beside)
    return gaps


def mean(draws: list[dict]) -> dict:
    """The figures of several draws as one: the mean of each, None where a draw has none; 6 digits."""
    return {name: None if draws[0][name] is None else round(statistics.mean(draw[name] for draw in draws), 6)
            for name in draws[0]}


def rank_histogram(ranks: np.ndarray, window: tuple[int, int] | None) -> dict:
    """The ranks (n,) that negatives were drawn at, counted in bins over the window's ranks first..last.

    counts[i] are ranks from edges[i] to below edges[i + 1], over ten bins that are equally wide up to one rank, or over
    single ranks in a window of at most 20. A rank outside the window is in no bin but in min or max. Without a window
    there is no ranking: distinct is 0 and the rest None or empty.
    """
    if window is None:
        return {"window": None, "distinct": 0, "min": None, "max": None, "median": None, "commonest": None,
                "commonest_share": None, "edges": [], "counts": []}
    first, last = window
    width = last - first + 1
    bins = width if width <= EXACT else BINS
    edges = [first + width * place // bins for place in range(bins + 1)]
    inside = ranks[(ranks >= first) & (ranks <= last)]
    values, uses = np.unique(ranks, return_counts=True)
    return {"window": [first, last], "distinct": len(values), "min": int(values[0]), "max": int(values[-1]),
            "median": float(np.median(ranks)), "commonest": int(values[uses.argmax()]),
            "commonest_share": round(float(uses.max() / len(ranks)), 6),
            "edges": edges, "counts": np.histogram(inside, edges)[0].tolist()}


def gap_histogram(gaps: np.ndarray) -> dict:
    """The score gaps (n,) counted in bins of 0.05, one begins at 0: counts[i] from edges[i] to edges[i + 1]."""
    places = np.floor(gaps / STEP).astype(int)
    first = places.min()
    counts = np.bincount(places - first)
    return {"edges": [round(float(STEP * (first + place)), 2) for place in range(len(counts) + 1)],
            "counts": counts.tolist()}


def table(audit: dict) -> tuple[list[str], list[list[str]]]:
    """Heads and lines, all words, of a table of the audit: block -> its figures and "ranks", as stages.audit writes."""
    heads = ["block", "triplets", "distinct queries", "above the positive %", "mean gap", "near-duplicate %",
             "judged relevant %", "relevant to a judged query %", "relevant to another training query %", "ranks"]
    shares = ["near_duplicates", "relevant_to_own_query", "relevant_to_judged_query", "relevant_to_training_query"]
    return heads, [[block, f"{found['triplets']:,.0f}", f"{found['queries']:,.0f}", _per_cent(found["above_positive"]),
                    "–" if found["mean_gap"] is None else f"{found['mean_gap']:.3f}",
                    *(_per_cent(found[share]) for share in shares), spread(found["ranks"])]
                   for block, found in audit.items()]


def spread(ranks: dict) -> str:
    """In words how wide the ranks of a `rank_histogram` spread; one that a quarter of the negatives have is named."""
    if ranks["window"] is None:
        return "no ranking"
    if ranks["distinct"] == 1:
        return f"{ranks['min']} only: one rank for every query"
    words = f"{ranks['min']}-{ranks['max']}, {ranks['distinct']} distinct"
    share = ranks["commonest_share"]
    return f"{words}, {_per_cent(share)} % at {ranks['commonest']}" if share >= 0.25 else words


def _per_cent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _codes(*columns: pa.ChunkedArray) -> np.ndarray:
    """The columns one after the other as (n,) whole numbers: equal values, equal numbers."""
    values = pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)
    return values.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
