"""BM25 by bm25s: the index folder and its rankings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bm25s.tokenization import Tokenized


def build(texts: list[str], folder: Path, k1: float, b: float) -> None:
    """Index passages (lower-cased, English stop words dropped, Snowball stems) into a folder that bm25s loads."""
    import bm25s

    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    index.index(_numbered(_tokens(texts)), show_progress=False)
    index.save(str(folder))


def top_k(texts: list[str], folder: Path, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and row numbers (queries, depth), best first, lower row first among equals; -1 where no term matches."""
    import bm25s

    index = bm25s.BM25.load(str(folder), mmap=True)
    depth = min(depth, index.scores["num_docs"])
    scores = np.zeros((len(texts), depth), dtype=np.float32)
    rows = np.full((len(texts), depth), -1, dtype=np.int64)
    for at, tokens in enumerate(_tokens(texts)):
        known = [token for token in tokens if token in index.vocab_dict]
        if not known:
            continue
        values = index.get_scores(known)
        least = max(np.partition(values, -depth)[-depth], np.finfo(np.float32).tiny)
        best = np.flatnonzero(values >= least)
        best = best[np.argsort(-values[best], kind="stable")][:depth]
        scores[at, : len(best)], rows[at, : len(best)] = values[best], best
    return scores, rows


def _tokens(texts: list[str]) -> list[list[str]]:
    import bm25s
    import Stemmer

    return bm25s.tokenize(
        texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), return_ids=False, show_progress=False
    )


def _numbered(tokens: list[list[str]]) -> Tokenized:
    """Tokens as ids of a sorted vocabulary: bm25s numbers them in the order of a set, another in every process."""
    from bm25s.tokenization import Tokenized

    vocabulary = {token: number for number, token in enumerate(sorted(set().union(*tokens)))}
    return Tokenized(ids=[[vocabulary[token] for token in line] for line in tokens], vocab=vocabulary)
