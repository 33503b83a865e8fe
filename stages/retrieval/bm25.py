"""BM25 by bm25s: the index folder and its rankings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.retrieval import ranking, tokens
from stages.retrieval.tokens import Tokenization

if TYPE_CHECKING:
    from bm25s.tokenization import Tokenized

TOKENIZATION = "tokenization.json"
NONE = "\0"  # the token of a corpus that has none, since bm25s indexes no empty vocabulary; no query has it


def build(texts: list[str], folder: Path, k1: float, b: float, language: str = "en") -> None:
    """Index passages into a folder that bm25s loads.

    Texts are lower-cased, and lose stop words and endings where there are lists and a stemmer for their language;
    tokenization.json in the folder says what was used (tokens.Tokenization).
    """
    import bm25s

    how = tokens.of_language(language)
    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    index.index(_numbered(tokens.split(texts, how)), show_progress=False)
    index.save(str(folder))
    (folder / TOKENIZATION).write_text(json.dumps(asdict(how), indent=2) + "\n")


def top_k(
    texts: list[str], folder: Path, depth: int, places: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and row numbers (queries, depth), best first; -1 where no term matches.

    Order: that of ranking.order with places (passages,), those of the passages' ids; without places the lower row
    number comes first among equals.
    """
    import bm25s

    index = bm25s.BM25.load(str(folder), mmap=True)
    how = Tokenization(**json.loads((folder / TOKENIZATION).read_text()))
    passages = index.scores["num_docs"]
    places = np.arange(passages) if places is None else places
    depth = min(depth, passages)
    scores = np.zeros((len(texts), depth), dtype=np.float32)
    rows = np.full((len(texts), depth), -1, dtype=np.int64)
    for at, words in enumerate(tokens.split(texts, how)):
        known = [word for word in words if word in index.vocab_dict]
        if not known:
            continue
        values = index.get_scores(known)
        least = max(np.partition(values, -depth)[-depth], np.finfo(np.float32).tiny)
        best = np.flatnonzero(values >= least)
        best = best[ranking.order(values[best], places[best])[:depth]]
        scores[at, : len(best)], rows[at, : len(best)] = values[best], best
    return scores, rows


def _numbered(texts: list[list[str]]) -> Tokenized:
    """Tokens as ids of a sorted vocabulary: bm25s numbers them in the order of a set, another in every process."""
    from bm25s.tokenization import Tokenized

    if not any(texts):
        texts = [[NONE], *texts[1:]]
    vocabulary = {token: number for number, token in enumerate(sorted(set().union(*texts)))}
    return Tokenized(ids=[[vocabulary[token] for token in line] for line in texts], vocab=vocabulary)
