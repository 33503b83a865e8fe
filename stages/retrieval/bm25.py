"""BM25 by bm25s: the index folder and its rankings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np

from stages.retrieval import ranking, tokens
from stages.retrieval.tokens import Tokenization

TOKENIZATION = "tokenization.json"
TOGETHER = 10_000  # texts that are cut into tokens at a time
NONE = "\0"  # the token of a corpus that has none, since bm25s indexes no empty vocabulary; no query has it


def build(texts: Iterable[str], folder: Path, k1: float, b: float, language: str = "en") -> None:
    """Index passages into a folder that bm25s loads; neither the texts nor their tokens are in memory as strings.

    Texts are lower-cased, and lose stop words and endings where there are lists and a stemmer for their language;
    tokenization.json in the folder says what was used (tokens.Tokenization).
    """
    import bm25s
    from bm25s.tokenization import Tokenized

    how = tokens.of_language(language)
    numbered, vocabulary = _numbered(texts, how)
    index = bm25s.BM25(method="lucene", k1=k1, b=b, csc_backend="scipy")
    index.index(Tokenized(ids=numbered, vocab=vocabulary), show_progress=False)
    # The arrays are those of its other backend, made in less memory.
    index.scores["indptr"] = index.scores["indptr"].astype(np.int64)
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


class Numbered:
    """Numbers of tokens, text by text, as lists when they are asked for; `ends` (texts,) are where each one ends."""

    def __init__(self, numbers: np.ndarray, ends: np.ndarray) -> None:
        self.numbers, self.ends = numbers, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[list[int]]:
        start = 0
        for end in self.ends.tolist():
            yield self.numbers[start:end].tolist()
            start = end


def _numbered(texts: Iterable[str], how: Tokenization) -> tuple[Numbered, dict[str, int]]:
    """Tokens as numbers in a sorted vocabulary: bm25s numbers them in the order of a set, another in every process."""
    first_seen: dict[str, int] = {}
    parts, lengths, texts = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)], iter(texts)
    while together := list(islice(texts, TOGETHER)):
        split = tokens.split(together, how)
        flat = (first_seen.setdefault(token, len(first_seen)) for line in split for token in line)
        parts.append(np.fromiter(flat, dtype=np.int32))
        lengths.append(np.array([len(line) for line in split], dtype=np.int64))
    ends = np.concatenate(lengths).cumsum()
    if not first_seen:
        return Numbered(np.zeros(1, np.int32), np.maximum(ends, 1)), {NONE: 0}
    vocabulary = {token: number for number, token in enumerate(sorted(first_seen))}
    sorted_number = np.fromiter((vocabulary[token] for token in first_seen), np.int32, len(first_seen))
    for at, part in enumerate(parts):
        parts[at] = sorted_number[part]
    return Numbered(np.concatenate(parts), ends), vocabulary
