"""The rates of this machine for an estimate: a model measured on texts, and exact search on random vectors."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.collections import readers
from stages.core.errors import UserError
from stages.models import precision
from stages.params.models import WITHOUT_WEIGHTS
from stages.planning import choices, facts, measuring, shapes, speeds
from stages.planning.estimate import NUMBERS, Machine
from stages.planning.measuring import Work
from stages.retrieval import dense
from stages.running import machine

if TYPE_CHECKING:
    from stages.params import Study
    from stages.params.models import Start

PASSAGES, QUERIES, DEPTH, BLOCK = 262_144, 128, 200, 65_536


def measured(study: Study) -> Machine:
    """This machine's rates, of the study's base on its collection in domain: about a minute, and the reading of it.

    One thread is measured, in the seconds that it computes, and its rates are multiplied by the cores. On a GPU the
    rates are its own. Raises UserError for a collection without a pair to train on.
    """
    cores, corpus = machine.cores(), study.report.in_domain.corpus
    found = facts.read(readers.read(study.corpora[corpus]), "")
    if not found.pairs:
        raise UserError(f"corpora.{corpus}: no query has a relevant passage, and training is measured on such pairs")
    start = base(study)
    with tempfile.TemporaryDirectory() as folder:
        model = measuring.fetched(start, Path(folder) / "base")
        lengths = measuring.token_lengths(model.folder, found.queries, found.texts)
        caps = {kind: choices.cap(own, model.own[kind != "query"], model.usable) for kind, own in lengths.items()}
        cut = {kind: caps[kind].tokens for kind in lengths}
        work = Work(str(model.folder), cut["query"], cut["passage"], precision.native(), 1, 2048, trains=True)
        rates, _ = measuring.rates(work, Path(folder) / "measured", 1, found.pairs, found.texts, found.passages)
    means = {kind: float(np.minimum(own, cut[kind]).mean()) for kind, own in lengths.items()}
    on_gpu = bool(machine.gpus())
    times = 1 if on_gpu else cores
    triplet = means["query"] + 2 * means["passage"]
    return Machine(
        name=f"{'a GPU and ' if on_gpu else ''}{cores} cores, {precision.native()}",
        cores=cores,
        gpu=on_gpu,
        computed=shapes.of(start.source).computed,
        tokens=times * rates.passages * means["passage"],
        trained=times * (rates.triplets or 1.0) * triplet,
        searched=cores * _searched(),
        encoding=rates.encoding,
        training=rates.megabytes,
        batch=rates.batch * triplet,
        slowness=min(3.0, max(0.5, rates.load / speeds.REFERENCE)),
    )


def base(study: Study) -> Start:
    """The model of a study's block `base`, else the checkpoint of the report's base, else the first that has weights.

    Raises UserError where none has.
    """
    named = (study.retrievers[study.report.base].checkpoint, *study.checkpoints)
    weighted = [block for name in named if (block := study.checkpoints[name]).architecture not in WITHOUT_WEIGHTS]
    if not (found := study.base or next(iter(weighted), None)):
        raise UserError("checkpoints: none has weights to measure; add a block base with the source of a model")
    return found


def _searched() -> float:
    """Pairs of a query and a passage that exact search scores in a second of one thread's time.

    From the seconds that three more blocks take: what a query takes by itself is not in it.
    """
    rng = np.random.default_rng(0)
    vectors, queries = (rng.standard_normal((number, NUMBERS), dtype=np.float32) for number in (PASSAGES, QUERIES))
    ends = [time.process_time()]
    for number in (BLOCK, BLOCK, PASSAGES):  # the first call loads the library
        dense.top_k(queries, vectors[:number], DEPTH, BLOCK)
        ends.append(time.process_time())
    _, one, all_blocks = np.diff(ends)
    return float((PASSAGES - BLOCK) * QUERIES / max(1e-3, all_blocks - one))
