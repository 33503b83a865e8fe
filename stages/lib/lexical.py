"""BM25 by bm25s: the index folder and its rankings."""
from pathlib import Path

import numpy as np


def build(texts: list[str], folder: Path, k1: float, b: float) -> None:
    """Index passages (lower-cased, English stop words dropped, Snowball stems) into a folder that bm25s loads."""
    import bm25s
    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=_stemmer(), show_progress=False), show_progress=False)
    index.save(str(folder))


def top_k(texts: list[str], folder: Path, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and row numbers (queries, depth), best first, lower row first among equals; -1 where no term matches."""
    import bm25s
    index = bm25s.BM25.load(str(folder), mmap=True)
    queries = bm25s.tokenize(texts, stopwords="en", stemmer=_stemmer(), return_ids=False, show_progress=False)
    depth = min(depth, index.scores["num_docs"])
    scores = np.zeros((len(texts), depth), dtype=np.float32)
    rows = np.full((len(texts), depth), -1, dtype=np.int64)
    for at, tokens in enumerate(queries):
        known = [token for token in tokens if token in index.vocab_dict]
        if not known:
            continue
        found = index.get_scores(known)
        best = np.argsort(-found, kind="stable")[:depth]
        best = best[found[best] > 0]
        scores[at, :len(best)], rows[at, :len(best)] = found[best], best
    return scores, rows


def _stemmer():
    import Stemmer
    return Stemmer.Stemmer("english")
