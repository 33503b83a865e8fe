"""One sample of query-passage pairs in every variant's vectors: a plane that they share, and what is measured on it.

Vectors of a variant are (2n, d): n queries, then their n passages in the same order; points are (2n, 2) likewise.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROUNDING = 1e-6


def pairs(
    query_ids: pa.Array, doc_ids: pa.Array, qrels: pa.Table, rel: int, size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most `size` pairs of a query and a relevant passage of the corpus, as row numbers into the two id columns.

    A query's passage is its best graded one (grade >= rel; the lower document number among equals). No query and no
    passage is in two pairs. What is drawn depends on the collection and the seed, not on the order of the qrels.
    """
    relevant = qrels.filter(pc.greater_equal(qrels["grade"], rel))
    queries = pc.index_in(relevant["query_id"], value_set=query_ids).to_numpy()
    passages = pc.index_in(relevant["doc_id"], value_set=doc_ids).to_numpy()
    known = ~(np.isnan(queries) | np.isnan(passages))
    queries, passages = queries[known].astype(np.int64), passages[known].astype(np.int64)
    order = np.lexsort((passages, -relevant["grade"].to_numpy()[known].astype(np.int64), queries))
    queries, first = np.unique(queries[order], return_index=True)
    passages = passages[order][first]
    shuffled = np.random.default_rng(seed).permutation(len(queries))
    _, once = np.unique(passages[shuffled], return_index=True)
    chosen = np.sort(shuffled[np.sort(once)[:size]])
    return queries[chosen], passages[chosen]


def project(
    vectors: dict[str, np.ndarray], n_neighbors: int, min_dist: float, metric: str, seed: int
) -> dict[str, np.ndarray]:
    """One UMAP fit (McInnes, Healy and Melville 2018) of all variants' vectors stacked: variant -> its points there.

    n_neighbors counts neighbours within a variant. A text's nearest neighbours in the stack are its own vectors under
    the other variants, so the fit looks at n_neighbors x variants; with fewer it would only see that a text is like
    itself.
    """
    from umap import UMAP

    stacked = np.vstack(list(vectors.values())).astype(np.float32)
    plane = UMAP(
        n_neighbors=min(n_neighbors * len(vectors), len(stacked) - 1),
        min_dist=min_dist,
        metric=metric,
        random_state=seed,
        n_jobs=1,
    )
    points = plane.fit_transform(stacked)
    ends = np.cumsum([len(part) for part in vectors.values()])[:-1]
    return dict(zip(vectors, np.split(points, ends), strict=True))


def figures(
    vectors: np.ndarray, points: np.ndarray, base: np.ndarray | None, metric: str, n_neighbors: int
) -> dict[str, float | None]:
    """What became of one variant's vectors, and how far its picture can be trusted; 4 digits.

    trustworthiness is Venna and Kaski's (2001), 1 where every neighbour in the plane is one among the vectors, over
    n_neighbors of them (fewer in a small sample). silhouette_* is Rousseeuw's (1987) of the two groups queries and
    passages: 1 apart, 0 mixed. mean_cosine_to_base is over all vectors, with the same text's under the base (None
    without one); mean_cosine_to_positive is a query's with its passage. vectors and base are unit vectors.
    """
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import pairwise_distances, silhouette_score

    half = len(vectors) // 2
    labels = np.repeat([0, 1], half)
    distances = pairwise_distances(vectors, metric=metric)
    distances[distances < ROUNDING] = 0
    neighbours = min(n_neighbors, (len(vectors) - 1) // 2)
    measured = {
        "trustworthiness": trustworthiness(distances, points, metric="precomputed", n_neighbors=neighbours),
        "silhouette_queries_passages_384d": silhouette_score(distances, labels, metric="precomputed"),
        "silhouette_queries_passages_2d": silhouette_score(points, labels),
        "mean_cosine_to_base": None if base is None else (vectors * base).sum(axis=1).mean(),
        "mean_cosine_to_positive": (vectors[:half] * vectors[half:]).sum(axis=1).mean(),
    }
    return {name: None if value is None else round(float(value), 4) for name, value in measured.items()}


def as_table(points: Mapping[str, np.ndarray]) -> pa.Table:
    """variant -> points (2n, 2) as the columns variant, x and y, a row a point, in their order."""
    names = [name for name, own in points.items() for _ in own]
    x, y = np.vstack([*points.values(), np.empty((0, 2))]).astype(np.float32).T
    return pa.table({"variant": pa.array(names, pa.string()), "x": x, "y": y})


def from_table(table: pa.Table) -> dict[str, np.ndarray]:
    """The points that as_table was given."""
    variants = pc.unique(table["variant"]).to_pylist()
    parts = {name: table.filter(pc.equal(table["variant"], name)) for name in variants}
    return {name: np.column_stack([part["x"].to_numpy(), part["y"].to_numpy()]) for name, part in parts.items()}
