"""The one order of passages everywhere, that of trec_eval: score as float32, then document id, both descending.

trec_eval reads a score as a float and compares ids by strcmp (form_res_rels.c, comp_sim_docno); pytrec_eval, BEIR and
MTEB inherit it. Ids are UTF-8, whose bytes sort as its code points do.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def places(doc_ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The place (n,) of each id among all n, the highest id first and equal ids as they stand: int64, from 0.

    To be made once for a corpus; then no search compares strings.
    """
    ranks = pc.rank(doc_ids, sort_keys="descending", tiebreaker="first")
    return ranks.to_numpy(zero_copy_only=False).astype(np.int64) - 1


def order(scores: np.ndarray, places: np.ndarray, queries: np.ndarray | None = None) -> np.ndarray:
    """Positions that put scored passages (n,) in order: best first or, with queries (n,), each query's best first.

    Scores and places may also be (q, n), a row a query. places are those of the passages' ids, from `places` of the
    whole corpus or of these ids alone. queries are numbers, the lowest comes first. No score may be nan.
    """
    with np.errstate(over="ignore"):  # beyond the range of float32 it is infinite, as for trec_eval
        best_first = (places, -np.asarray(scores).astype(np.float32))
    return np.lexsort(best_first if queries is None else (*best_first, queries))
