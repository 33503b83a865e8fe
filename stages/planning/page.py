"""The plan as a page: what is in the collection, what follows from it, how long it takes, and what was left out."""

from __future__ import annotations

import numpy as np

from stages.planning import choices as rules
from stages.planning import counts, power, proposal, space
from stages.planning import layout as splits
from stages.planning.facts import SAMPLE, Facts
from stages.planning.plans import Plan, decisions
from stages.planning.proposal import Proposal, duration
from stages.planning.study import VARIANTS
from stages.reporting.markdown import Block
from stages.reporting.table import Cell, Table
from stages.reporting.text import Heading, Items, code, strong, text

PERCENTILES = (50, 90, 95, 99, 100)
FEWEST = 20  # passages, and queries tried, from which ranks by chance show
PAIRS_TO_LEARN = 500  # about as many training queries as the default study's recipes gained from


def blocks(plan: Plan) -> list[Block]:
    """The page, from its title on."""
    return [
        Heading("The plan", 1),
        *_summary(plan),
        Heading("The collection", 2),
        *_collection(plan.facts),
        Heading("Lengths", 2),
        *_lengths(plan),
        Heading("What follows", 2),
        _decisions(plan),
        Heading("What its queries can show", 2),
        *_power(plan),
        Heading("Variants", 2),
        *_variants(plan.proposal),
        Heading("Time, memory and disk", 2),
        *_costs(plan),
    ]


def _summary(plan: Plan) -> list[Block]:
    proposed = plan.proposal
    names = [
        *proposed.blocks["retrievers"],
        *proposed.blocks["interpolations"],
        *proposed.blocks.get("fusions", {}),
        *proposed.blocks["rerankers"],
    ]
    over = (
        ", which is more than that: say HOURS=, or measure fewer queries"
        if proposed.seconds > 3600 * plan.hours
        else ""
    )
    said = text(
        f"{plan.facts.source}: {plan.facts.passages:,} passages, {plan.tested:,} queries to judge on. ",
        f"The study compares {', '.join(names)} and takes about ",
        strong(duration(proposed.seconds)),
        f" of {plan.hours:g} h on this machine{over}.",
    )
    return [said, *([_without_training(plan)] if proposed.choices.training is None else [])]


def _without_training(plan: Plan) -> Block:
    pairs = sum(own.pairs for own in plan.facts.splits.values())
    return text(
        strong("Nothing is fine-tuned."),
        f" The collection has {pairs:,} judged pairs of query and relevant passage, and to train and to judge takes "
        f"queries apart from each other. The base is compared with BM25 and what is made of both. From "
        f"{splits.ENOUGH_TO_CUT} judged queries on they are cut into splits; some {PAIRS_TO_LEARN} training queries "
        f"beside those are what the default study's recipes learned from.",
    )


def _collection(facts: Facts) -> list[Block]:
    lines = [
        [
            name,
            f"{own.queries:,}",
            f"{own.judgments:,}",
            ", ".join(f"{grade}: {number:,}" for grade, number in own.grades.items()),
            str(counts.relevance(own)[0]),
            f"{own.a_query:.2f}",
            f"{own.none:,}",
        ]
        for name, own in facts.splits.items()
    ]
    heads = ["split", "queries", "judgments", "grades", "relevant from", "positives a query", "without a positive"]
    part = "" if facts.compared == facts.passages else f" of the first {facts.compared:,}"
    sampled = len(facts.texts)
    notes = [
        f"Relevant from: {name}: {counts.relevance(own)[1]}.{_loosely(own)}"
        for name, own in facts.splits.items()
        if max(own.grades, default=1) > 1
    ]
    return [
        Table(heads, lines, notes),
        Items(
            (
                f"Passages: {facts.passages:,}, of {facts.characters:,.0f} characters on average. Language: "
                f"{facts.language}{'' if facts.detected else ', as nothing tells it'}.",
                f"Passages whose text another has too: {facts.duplicates:,}{part}. Near duplicates among {sampled:,} "
                f"sampled ones: {facts.near:,}.",
                f"Query texts that are a passage: {facts.queries_that_are_passages:,}. Ids that a query and a passage "
                f"share: {facts.shared_ids:,}; of these the same text, which nobody judged: {facts.themselves:,}.",
                f"Query texts in two splits: {facts.in_several:,}, and nearly so: {facts.near_in_several:,}. Training "
                f"leaves out what a judged split asks word for word.",
                f"Not counted above: {facts.absent:,} judgments of passages that are absent or without text, and "
                f"{facts.also_judged:,} training queries that a measured split asks too.",
            )
        ),
    ]


def _loosely(split: counts.Split) -> str:
    return f" Training takes the {split.related:,} judgments below it as well." if split.related else ""


def _lengths(plan: Plan) -> list[Block]:
    lines: list[list[Cell]] = []
    for kind, own in plan.lengths.items():
        limit = plan.model.own[kind != "query"]
        cuts = [f"{100 * rules.cut_share(own, tokens):.1f}" for tokens in rules.CAPS]
        mine = f"{100 * rules.cut_share(own, limit):.1f} ({limit})" if limit else "reads all"
        lines.append([kind, f"{len(own):,}", *(f"{np.percentile(own, at):.0f}" for at in PERCENTILES), *cuts, mine])
    heads = [
        "texts",
        "sample",
        *(f"{at} %" if at < 100 else "longest" for at in PERCENTILES),
        *(f"cut at {cap}, %" for cap in rules.CAPS),
        "at the model's own, %",
    ]
    note = (
        f"In the model's own tokens, prompts and special tokens included, of up to {SAMPLE:,} texts of each kind by a "
        f"hash of their ids."
    )
    return [Table(heads, lines, [note])]


def _decisions(plan: Plan) -> Block:
    lines: list[list[Cell]] = [[code(key), value, why] for key, (value, why) in decisions(plan).items()]
    return Table(["in params.yaml", "value", "why"], lines)


def _power(plan: Plan) -> list[Block]:
    deviation = plan.spread.value
    change = power.detectable(deviation, plan.tested)
    found = float(np.mean(np.where(plan.ranks <= 10, 1 / plan.ranks, 0))) if len(plan.ranks) else 0.0
    return [
        text(
            f"With {plan.tested:,} queries a change of {plan.proposal.choices.measure} by ",
            strong(f"{change:.3f}"),
            f" is found with a chance of 80 % at p < 0.05, before the correction for several variants; a smaller one "
            f"will often read cannot tell. A change of 0.02 takes {power.needed(deviation, 0.02):,} "
            f"queries. The spread of a query's change, {deviation:.3f}, is {plan.spread.origin}.",
        ),
        f"From a sample, the base ranks its first relevant passage within 10 for {_within(plan, 10)} of "
        f"{len(plan.ranks)} queries (RR@10 about {found:.2f}), and within 100 for {_within(plan, 100)}: what lies "
        f"between is what order could gain.",
        *_by_chance(plan.ranks, plan.facts.passages),
    ]


def _by_chance(ranks: np.ndarray, passages: int) -> list[Block]:
    """A warning where the base ranks what is relevant as if by chance; by chance the median is half the passages.

    Of fewer than FEWEST passages or queries nothing of the kind can be told.
    """
    if min(len(ranks), passages) < FEWEST or np.median(ranks) < passages / 4:
        return []
    return [
        text(
            strong("The base ranks what these queries call relevant hardly better than by chance"),
            f": half of it deeper than rank {np.median(ranks):,.0f} of {passages:,}. Read some pairs before you train "
            f"on them. They may be paired wrongly, or in words or a language that the base does not know.",
        )
    ]


def _within(plan: Plan, depth: int) -> str:
    return f"{100 * float((plan.ranks <= depth).mean()):.0f} %" if len(plan.ranks) else "none"


def _variants(proposed: Proposal) -> list[Block]:
    chosen = [[str(at), name, VARIANTS[name]] for at, name in enumerate(proposed.choices.chosen, 1)]
    first = [["0", "base and bm25", "what every other is compared with"]]
    left = tuple(text(code(name), f": {VARIANTS[name]}. Left out: {why}.") for name, why in proposed.left_out.items())
    splits_left = proposed.choices.layout.left_out
    return [
        Table(["", "variant", "what it is"], [*first, *chosen]),
        *([Items((*left, *splits_left))] if left or splits_left else []),
    ]


def _costs(plan: Plan) -> list[Block]:
    choices, disk = plan.proposal.choices, plan.proposal.disk
    batch = choices.training.batch if choices.training and {*choices.chosen} - {"hybrid"} else None
    lines = [
        [
            kind,
            str(number),
            duration(longest),
            duration(total),
            f"{space.memory(kind, plan.rates, batch):,.0f}",
            f"{disk.get(kind, 0.0):,.0f}",
        ]
        for kind, (number, longest, total) in proposal.kinds(plan.proposal.each).items()
        if total >= 2 or disk.get(kind, 0.0) >= 1
    ]
    rates = plan.rates
    trained = "" if rates.triplets is None else f", {rates.triplets:.2f} triplets a second in training"
    measured = (
        f"Measured with {plan.jobs} processes at once, as stages run: in a second that it computed, each encoded "
        f"{rates.passages:.1f} passages and {rates.queries:.0f} queries{trained}; loading took {rates.load:.1f} such "
        f"seconds."
    )
    busy = (
        f"The processes got {100 / rates.busy:.0f} % of the time that they asked for; the seconds above and the total "
        f"are for a machine as busy as that. With nothing else at work the study takes about "
        f"{duration(plan.proposal.seconds / rates.busy)}."
    )
    peaks = sorted((float(line[4].replace(",", "")) for line in lines), reverse=True)
    heads = ["stage", "runs", "the longest", "all, one after the other", "memory of one, MB", "disk of all, MB"]
    return [
        Table(heads, lines),
        text(measured, " ", busy) if rates.busy > 1.1 else measured,
        f"Memory: up to {plan.jobs * peaks[0] / 1000:.1f} GB for {plan.jobs} stages at once. Disk: about "
        f"{sum(disk.values()) / 1000:.1f} GB in data, and as much in DVC's cache where the file system cannot share.",
    ]
