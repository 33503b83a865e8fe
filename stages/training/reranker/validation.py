"""RR on a few candidates of the validation sample while a reranker trains: after how many steps it ranks well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stages.training import validation
from stages.training.seed_runs import SeedRun
from stages.training.validation import BATCH_TOKENS, Measure, Points, Sample, mean_reciprocal_rank

CANDIDATES = 5


def points(run: SeedRun, score: Callable[..., np.ndarray], work: Path) -> Points:
    """The validation points of a seed run: "RR of 5", taken every so many steps.

    score(model, queries, passages, batch_tokens, precision) gives a number for each pair.
    """
    sample = validation.read_sample(run.validation)
    measure = reciprocal_rank(sample, score, run.recipe.precision) if sample else None
    curve = run.curve.model_copy(update={"early": []})
    return Points(f"RR of {CANDIDATES}", measure, curve, run.recipe, work)


def reciprocal_rank(sample: Sample, score: Callable[..., np.ndarray], precision: str) -> Measure | None:
    """A function of a reranker: its RR on the candidates of a sample; None where they are too few."""
    chosen = candidates(sample)
    if chosen is None:
        return None
    queries, passages, relevant = chosen

    def measure(model: Any) -> float:
        scores = score(model, queries, passages, BATCH_TOKENS, precision)
        return mean_reciprocal_rank(scores.reshape(relevant.shape), relevant)

    return measure


def candidates(sample: Sample) -> tuple[list[str], list[str], np.ndarray] | None:
    """Queries and passages of the pairs that are scored, and which are relevant, (queries, CANDIDATES).

    None where the sample has too few passages for that. Of each query the first relevant passage, and as many others as
    make CANDIDATES, at equal distances in the sample, relevant ones left out: neighbours by id are often parts of one
    document. Which they are is the same for every variant.
    """
    queries: list[str] = []
    passages: list[str] = []
    relevant = []
    for query, known in zip(sample.queries, sample.relevant, strict=True):
        first = int(known.argmax())
        others = [at % len(known) for at in range(first + 1, first + len(known)) if not known[at % len(known)]]
        if len(others) < CANDIDATES - 1:
            return None
        spread = others[:: len(others) // (CANDIDATES - 1)]
        chosen = sorted([first, *spread[: CANDIDATES - 1]])
        queries += [query] * len(chosen)
        passages += [sample.passages[at] for at in chosen]
        relevant.append([at == first for at in chosen])
    return queries, passages, np.array(relevant)
