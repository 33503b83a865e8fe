"""The numbers of a study that follow from a collection, a model and a machine; each comes with the reason for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.planning.facts import Facts
from stages.planning.layout import Layout
from stages.planning.measuring import DEEP, MARGIN, Model, Rates

CAPS = (64, 128, 256, 512)
CUT = 0.05  # the share of texts that may be cut
POOL = 200  # ranks of a pool, at the least
DEEPEST = 1000
MOST_TRIPLETS = 16384
ENOUGH_APART = 0.8  # share of queries, from which a margin leaves enough negatives
CROWDED = 0.5  # share of passages relevant to judged queries, from which they may be negatives of others


@dataclass(frozen=True)
class Cap:
    """Where texts are cut, the share that is, and why there."""

    tokens: int
    cut: float
    why: str


@dataclass(frozen=True)
class Training:
    """How a variant is trained; `why` has a sentence for each number."""

    pairs: int
    batch: int
    size: int
    lr: float
    lora_lr: float
    ranks: tuple[int, int]
    depth: int
    mini_batch: int | None
    allow_judged: bool
    why: dict[str, str]
    relative_margin: float | None = MARGIN

    @property
    def steps(self) -> int:
        return -(-self.size // self.batch)


def cap(lengths: np.ndarray, own: int | None, usable: int | None) -> Cap:
    """The smallest usual cap that cuts at most CUT of the texts, at most what the model reads by itself."""
    limit = min(bound for bound in (own, usable, 10**9) if bound)
    options = sorted({*[tokens for tokens in CAPS if tokens < limit], limit if limit < 10**9 else CAPS[-1]})
    for tokens in options:
        share = cut_share(lengths, tokens)
        if share <= CUT:
            return Cap(tokens, share, f"the smallest that cuts at most {100 * CUT:.0f} % of them")
    return Cap(options[-1], cut_share(lengths, options[-1]), "the most that the model reads by itself")


def cut_share(lengths: np.ndarray, tokens: int) -> float:
    return float((lengths > tokens).mean()) if len(lengths) else 0.0


def in_collection(ranks: Sequence[float], encoded: int, passages: int) -> np.ndarray:
    """Ranks in the whole collection, from those among `encoded` of its passages: a passage stands for several."""
    return 1 + (np.asarray(ranks, float) - 1) * max(1.0, passages / max(1, encoded))


def training(
    facts: Facts, layout: Layout, names: Mapping[str, str], ranks: np.ndarray, rates: Rates, model: Model, free: float
) -> Training:
    """Batch, triplets, rates and the negatives' window. ranks are the base's in the collection, free a job's MB."""
    origin = next(own for name, own in facts.splits.items() if names[name] == layout.train)
    share = (layout.shares or {}).get("train", 100) / 100
    pairs = int(origin.pairs * share * layout.apart(facts, names))
    batch = 32 if pairs >= 320 else 16 if pairs >= 128 else 8
    passes = 1 if pairs >= 3000 else 2 if pairs >= 1000 else 3 if pairs >= 300 else 4
    size = min(MOST_TRIPLETS, pairs * passes) // batch * batch
    steps = size // batch
    large = 2 if model.megabytes > 300 else 1
    lr = (1e-4 if steps <= 64 else 5e-5 if steps <= 256 else 2e-5) / large
    judging = {at: 1 - share if at == layout.train else 1 for at in layout.judged.values()}
    judged = sum(own.relevant * judging.get(names[name], 0) for name, own in facts.splits.items()) / facts.passages
    depth = _depth(ranks, facts.passages)
    first = 1 if facts.passages < 200 else 6 if facts.passages < 2000 else 11
    heavy = rates.megabytes * batch / rates.batch > free
    inside = float((ranks <= depth).mean()) if len(ranks) else 0.0
    margin = MARGIN if rates.apart >= ENOUGH_APART else None
    why = {
        "batch": f"{pairs:,} training pairs",
        "size": f"each pair about {passes} x, {steps} steps of {batch}"
        + (", the most that a plan takes" if size < pairs * passes // batch * batch else ""),
        "lr": f"{steps} steps of a model of {model.megabytes / 4:.0f} million weights: the fewer, the higher",
        "depth": f"the base ranks a positive that deep for {100 * inside:.0f} % of the {len(ranks)} queries tried",
        "ranks": f"above rank {first} unjudged passages of {facts.passages:,} may well be relevant; "
        + (
            "relative_margin drops what scores within 5 % of the positive"
            if margin
            else f"no relative_margin: for {100 * (1 - rates.apart):.0f} % of the queries rank {DEEP} is within 5 %"
        ),
        "mini_batch": "a whole batch would not fit into a job's memory" if heavy else "a batch fits into memory",
        "allow_judged": f"{100 * judged:.0f} % of the passages are relevant to a judged query",
    }
    cached, crowded = 8 if heavy else None, judged > CROWDED
    return Training(pairs, batch, size, lr, lr * 10, (first, depth), depth, cached, crowded, why, margin)


def _depth(ranks: np.ndarray, passages: int) -> int:
    """How deep a pool must be to hold nearly all positives: a margin needs their scores."""
    wanted = float(np.percentile(ranks, 90)) if len(ranks) else POOL
    rounded = int(-(-wanted // 100) * 100)
    return min(passages, DEEPEST, max(POOL, rounded))


def rerank_depth(ranks: np.ndarray) -> tuple[int, str]:
    """How many passages a reranker orders: those that hold nearly all of what 100 would."""
    if not len(ranks):
        return 100, "the base was tried on no query"
    reached = {depth: float((ranks <= depth).mean()) for depth in (10, 20, 50, 100)}
    for depth, share in reached.items():
        if share >= 0.95 * reached[100]:
            deep = f"{100 * share:.0f} % of the queries, within 100 for {100 * reached[100]:.0f} %"
            return depth, f"the base has a positive there for {deep}"
    return 100, "the base has most positives below rank 50"


def measure(facts: Facts, judge: str) -> tuple[str, str]:
    """The measure of the verdicts, and why."""
    split = facts.splits[judge]
    if max(split.grades, default=1) > 1:
        return "nDCG@10", "graded judgments"
    if split.a_query > 2:
        return "nDCG@10", f"{split.a_query:.1f} relevant passages a query"
    return "RR@10", "one or two relevant passages a query"
