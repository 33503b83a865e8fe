"""A plan, made: the collection read, the model measured on it, and the numbers taken."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from stages.collections import cut, readers
from stages.collections.source import Source
from stages.collections.splits import plain
from stages.core.errors import UserError
from stages.models import precision
from stages.params.corpora import Corpus
from stages.params.models import Start
from stages.planning import choices, facts, layout, measuring, power, proposal, sources, speeds, study
from stages.planning.choices import Cap
from stages.planning.facts import Facts, Pair
from stages.planning.layout import Layout
from stages.planning.measuring import Model, Rates, Work
from stages.planning.plans import Plan
from stages.planning.speeds import OTHER, speed
from stages.running import machine

THREADS = 1
BATCH_TOKENS = 2048
TRIED = 200  # queries


def plan(source: str, block: dict[str, Any], start: Start, hours: float) -> Plan:
    """The plan of a collection and a model for so many hours. Raises UserError where either cannot be read."""
    there = sources.splits(source)
    names = sources.named_here(there)
    click.echo(f"reading {source}", err=True)
    given = readers.read(sources.corpus(source, there))
    found = facts.read(given, source)
    if not found.passages or not found.splits:
        raise UserError(f"{source}: holds no {'judgments' if found.passages else 'passage with text'}")
    splits = layout.chosen(found, names)
    jobs = machine.jobs(THREADS)
    click.echo(f"measuring the model in {jobs} processes, about a minute", err=True)
    with tempfile.TemporaryDirectory() as folder:
        base = measuring.fetched(start, Path(folder) / "base")
        lengths = measuring.token_lengths(base.folder, found.queries, found.texts)
        caps = {kind: choices.cap(own, base.own[kind != "query"], base.usable) for kind, own in lengths.items()}
        work = Work(
            folder=str(base.folder),
            query_tokens=caps["query"].tokens,
            passage_tokens=caps["passage"].tokens,
            precision=precision.native(),
            threads=THREADS,
            batch_tokens=BATCH_TOKENS,
            trains=splits.train is not None,
        )
        pairs = _tried(found, splits, names, given)
        rates, raw = measuring.rates(work, Path(folder) / "measured", jobs, pairs, found.texts, found.passages)
    if splits.train is not None and not rates.triplets:
        raise UserError(f"{source}: no training step was measured on its {len(pairs)} pairs; nothing can be planned")
    ranks = choices.in_collection(raw, rates.encoded, found.passages)
    chosen, why = _choices(found, splits, names, block, caps, base, rates, ranks, jobs)
    means = {kind: float(np.minimum(own, caps[kind].tokens).mean()) for kind, own in lengths.items()}
    corpora = _sizes(found, splits, names, means, caps)
    runs_on = proposal.Machine(jobs, speed(rates, means), base.dimension, base.megabytes)
    return Plan(
        facts=found,
        layout=splits,
        lengths=lengths,
        caps=caps,
        model=base,
        rates=rates,
        ranks=ranks,
        spread=power.spread(chosen.measure),
        tested=corpora[study.CORPUS].queries[splits.judge],
        proposal=proposal.proposed(chosen, corpora, runs_on, 3600 * hours, found.language == "en"),
        hours=hours,
        jobs=jobs,
        precision=work.precision,
        why=why,
    )


def _tried(found: Facts, splits: Layout, names: Mapping[str, str], given: Source) -> list[Pair]:
    """The queries that the base is tried on: where something is trained, of those that are trained on alone.

    Nothing that is decided by them has then seen a query that judges. Raises UserError where there are none of those.
    """
    if splits.train is None:
        return found.pairs[:TRIED]
    if found.source.startswith("docstrings:"):
        return found.paired["train"][:TRIED]
    here = {split: name for name, split in names.items()}
    origins = {"train": splits.train, **splits.judged}
    qrels = {split: given.qrels[here[origin]] for split, origin in origins.items()}
    corpus = Corpus.model_validate(sources.block(found, splits, names))
    shared = cut.by_shares(replace(given, qrels=qrels), corpus)
    judging = {query for split in splits.judged for query, _, _ in shared.qrels[split] if query in given.queries}
    texts = {plain(given.queries[query].text) for query in judging}
    trained = {query for query, _, _ in shared.qrels["train"]}
    own = found.paired[here[splits.train]]
    if not (tried := [pair for pair in own if pair.query_id in trained and plain(pair.query) not in texts][:TRIED]):
        raise UserError(
            f"qrels of {splits.train}: of {len(own)} queries looked at none that would be trained on has a relevant "
            f"passage with text; mend the passages' ids"
        )
    return tried


def _choices(
    found: Facts,
    splits: Layout,
    names: Mapping[str, str],
    block: dict[str, Any],
    caps: Mapping[str, Cap],
    base: Model,
    rates: Rates,
    ranks: np.ndarray,
    jobs: int,
) -> tuple[study.Choices, dict[str, str]]:
    """What params.yaml will hold, but for the variants, and the reasons for the measure and the rerankers' depth."""
    free = machine.free_memory() * 1000 / jobs
    training = choices.training(found, splits, names, ranks, rates, base, free) if splits.train is not None else None
    judge = next(name for name in names if names[name] == splits.judged[splits.judge])
    measure, why = choices.measure(found, judge)
    depth, deep = choices.rerank_depth(ranks)
    made = study.Choices(
        corpus=sources.block(found, splits, names),
        base={**block, **{f"{kind}_tokens": own.tokens for kind, own in caps.items()}},
        layout=splits,
        measure=measure,
        training=training,
        lora_modules=base.adapted,
        rerank_depth=min(depth, found.passages),
    )
    return made, {"measure": why, "rerank": deep}


def _sizes(
    found: Facts, splits: Layout, names: Mapping[str, str], means: Mapping[str, float], caps: Mapping[str, Cap]
) -> dict[str, speeds.Corpus]:
    """The collection, and the one beside it, as large as they will be read."""
    queries = {split: min(layout.MOST_JUDGED, splits.queries(split, found, names)) for split in splits.judged}
    if splits.train is not None:
        queries["train"] = splits.queries("train", found, names)
    own = speeds.Corpus(found.passages, queries, means["passage"], means["query"])
    other = speeds.Corpus(
        OTHER.passages,
        OTHER.queries,
        min(OTHER.passage_tokens, caps["passage"].tokens),
        min(OTHER.query_tokens, caps["query"].tokens),
    )
    return {study.CORPUS: own, study.OTHER: other}
