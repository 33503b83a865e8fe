"""How like two collections are in the words that their passages use."""

import re
from collections import Counter
from math import fsum
from pathlib import Path

import numpy as np

PASSAGES = 100_000  # of a larger collection every n-th passage is counted, so that no more than these are
BATCH = 4096
WORD = re.compile(r"\w+")


def frequencies(docs: Path, most: int = PASSAGES) -> tuple[dict[str, float], int, int]:
    """Lower-case word -> its share of all words in docs.parquet, how many passages were counted, and of how many.

    The file is read in batches, and with more than `most` passages every n-th one is counted, n the smallest that
    leaves no more than `most`. A collection without a word has no shares.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(docs)
    total = file.metadata.num_rows
    stride = max(1, -(-total // most))
    counts: Counter[str] = Counter()
    start = counted = 0
    for batch in file.iter_batches(BATCH, columns=["text"]):
        for text in batch.column(0).take(np.arange(-start % stride, len(batch), stride)).to_pylist():
            counts.update(WORD.findall(text.lower()))
            counted += 1
        start += len(batch)
    words = counts.total()
    return {word: count / words for word, count in counts.items()}, counted, total


def weighted_jaccard(one: dict[str, float], other: dict[str, float]) -> float:
    """Sum of the smaller over sum of the larger shares, between 0 (no word in common) and 1 (the same shares).

    Weighted Jaccard similarity (Ioffe 2010) of unigram distributions, by which Thakur et al. (2021, BEIR) compare
    collections. 0 where neither has a word.
    """
    smaller = fsum(min(share, other[word]) for word, share in one.items() if word in other)
    larger = fsum(one.values()) + fsum(other.values()) - smaller
    return smaller / larger if larger else 0.0
