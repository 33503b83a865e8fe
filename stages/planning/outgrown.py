"""From which sizes on a study outgrows a machine, as tables of an estimate's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stages import params
from stages.core import yaml_file
from stages.planning import estimate, shapes, timing
from stages.planning.estimate import Machine
from stages.planning.speeds import Corpus
from stages.reporting.table import Cell, Table
from stages.reporting.text import link
from stages.running import console

QUERIES, TOKENS = 7000, 80.0  # that are searched; of a passage
MORE = 8  # times as many cores
SIZES = {
    100_000: "any machine",
    1_000_000: "a few cores",
    10_000_000: "a GPU, or some ten cores for a day",
    100_000_000: "several GPUs or machines",
}


def duration(seconds: float) -> str:
    """In days from two on, else as the console has it."""
    return f"{seconds / 86400:,.1f} days" if seconds >= 2 * 86400 else console.duration(seconds)


def when(machine: Machine) -> Table:
    """What one variant of a model like the measured one takes, by the size of its collection."""
    lines: list[list[Cell]] = []
    for passages, use in SIZES.items():
        corpus = Corpus(passages, {"test": QUERIES}, TOKENS, TOKENS / 8)
        times = [
            _encoded_and_searched(corpus, machine),
            _encoded_and_searched(corpus, _times(machine, MORE)),
        ]
        vectors = f"{passages * estimate.NUMBERS * 2 / 1e9:,.1f}"
        lines.append(
            [f"{passages:,}", *(duration(part) for pair in zip(*times, strict=True) for part in pair), vectors, use]
        )
    few, many = machine.cores, MORE * machine.cores
    heads = [
        "passages",
        f"encoding, {few} cores",
        f"{many} cores",
        f"exact search of {QUERIES:,} queries, {few} cores",
        f"{many} cores",
        "vectors in float16, GB",
        "enough is",
    ]
    note = (
        f"One variant of all-MiniLM-L6-v2, passages of {TOKENS:.0f} tokens: arithmetic from what {machine.name} did, "
        f"and {MORE} times that for {many} cores. A model like BERT-base takes "
        f"{shapes.BERT.computed / machine.computed:.0f} times as long to encode."
    )
    return Table(heads, lines, [note])


def _times(machine: Machine, more: int) -> Machine:
    """A machine of so many times the cores."""
    return replace(machine, tokens=more * machine.tokens, searched=more * machine.searched)


def _encoded_and_searched(corpus: Corpus, machine: Machine) -> tuple[float, float]:
    speed = machine.speed({}, None)
    return corpus.passages * corpus.passage_tokens / speed.tokens, timing.ranked(QUERIES, corpus.passages, speed)


def papers(machine: Machine, paths: Sequence[Path], pipeline: Path) -> Table:
    """What the studies of some params files take on a machine, one stage after the other."""
    lines: list[list[Cell]] = []
    for path in paths:
        study = params.load(path)
        made = estimate.made(study, yaml_file.load(path), yaml_file.load(pipeline), machine, 1)
        first = max(made.lines, key=lambda line: line.longest)
        lines.append(
            [
                link(path.stem, f"../studies/papers/{path.name}"),
                f"{sum(line.number for line in made.lines):,}",
                duration(made.seconds),
                f"{first.kind}, {duration(first.longest)}",
                f"{sum(line.disk for line in made.lines):,.0f}",
                f"{max(line.memory for line in made.lines):,.0f}",
            ]
        )
    heads = ["study", "stages", "all, one after the other", "the longest stage", "data, GB", "memory of a stage, GB"]
    return Table(heads, lines, [f"On {machine.name}."])
