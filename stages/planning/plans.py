"""A plan, and what it decided: keys of params.yaml with their values and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stages.planning.choices import Cap
from stages.planning.facts import Facts
from stages.planning.layout import Layout
from stages.planning.measuring import Model, Rates
from stages.planning.power import Spread
from stages.planning.proposal import Proposal


@dataclass(frozen=True)
class Plan:
    """All that the page tells. tested is the number of queries that judge; ranks are the base's in the collection."""

    facts: Facts
    layout: Layout
    lengths: Mapping[str, np.ndarray]
    caps: Mapping[str, Cap]
    model: Model
    rates: Rates
    ranks: np.ndarray
    spread: Spread
    tested: int
    proposal: Proposal
    hours: float
    jobs: int
    precision: str
    why: Mapping[str, str]


def decisions(plan: Plan) -> dict[str, tuple[str, str]]:
    """Key of params.yaml -> the value taken, and why."""
    corpus, layout, training = plan.proposal.choices.corpus, plan.layout, plan.proposal.choices.training
    shares = (
        "" if not layout.shares else f", shares {' '.join(f'{name} {share}' for name, share in layout.shares.items())}"
    )
    train = "none" if layout.train is None else layout.train or "the dataset itself"
    found = {
        "corpora": (
            f"train {train}, judged {' '.join(corpus['judged'])}{shares}",
            "; ".join(layout.why),
        ),
        "base.query_tokens": (str(plan.caps["query"].tokens), _cut(plan.caps["query"])),
        "base.passage_tokens": (str(plan.caps["passage"].tokens), _cut(plan.caps["passage"])),
        "report.in_domain.measure": (plan.proposal.choices.measure, plan.why["measure"]),
        "precision": ("auto", f"{plan.precision} on this machine"),
        "threads": ("1", f"{plan.jobs} stages at once"),
        "rerank.depth": (str(plan.proposal.choices.rerank_depth), plan.why["rerank"]),
    }
    if training is None:
        return found
    return found | {
        "recipes.in-batch.batch": (str(training.batch), training.why["batch"]),
        "triplets.hard.size": (f"{training.size:,}", training.why["size"]),
        "full.lr": (f"{training.lr:g}", training.why["lr"]),
        "pools.base.depth": (f"{training.depth:,}", training.why["depth"]),
        "triplets.hard.ranks": (f"{training.ranks[0]} to {training.ranks[1]}", training.why["ranks"]),
        "mini_batch": (str(training.mini_batch or "none"), training.why["mini_batch"]),
        "allow_judged": (str(training.allow_judged).lower(), training.why["allow_judged"]),
    }


def _cut(cap: Cap) -> str:
    return f"{cap.why}: {100 * cap.cut:.1f} % are cut"
