"""Near duplicates among texts: the Jaccard index of their sets of word shingles (Broder 1997), exactly."""

import re
from collections import Counter

SHINGLE_WORDS = 5


def representatives(texts: list[str], jaccard: float) -> list[int]:
    """For each text the number of the earlier text that it repeats (its own number where it repeats none).

    A text repeats the most similar representative before it whose shingles reach the Jaccard index given.
    """
    index: dict[str, list[int]] = {}
    sizes: dict[int, int] = {}
    repeated = []
    for number, text in enumerate(texts):
        own = shingles(text)
        shared = Counter(other for shingle in own for other in index.get(shingle, ()))
        scores = ((both / (len(own) + sizes[other] - both), -other) for other, both in shared.items())
        score, other = max(scores, default=(0.0, 0))
        if score >= jaccard:
            repeated.append(-other)
            continue
        repeated.append(number)
        sizes[number] = len(own)
        for shingle in own:
            index.setdefault(shingle, []).append(number)
    return repeated


def normal(text: str) -> str:
    """Lower-case words and nothing else: what makes two texts equal."""
    return " ".join(re.findall(r"\w+", text.lower()))


def shingles(text: str) -> set[str]:
    """Every run of 5 normal words; the whole text where it is shorter."""
    words = normal(text).split()
    return {" ".join(words[at : at + SHINGLE_WORDS]) for at in range(max(1, len(words) - SHINGLE_WORDS + 1))}
