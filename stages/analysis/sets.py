"""Sets of corpora, as benchmarks count them: one corpus, or the mean of all that share a group; and values on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.evaluation import per_query
from stages.params.corpora import Corpus
from stages.params.report import Target


@dataclass(frozen=True)
class SetValue:
    """A variant's value on a set and the base's, on the queries that both have: `queries` of the base's `of`.

    Values are means over the set's corpora, each counting once, and over seed runs, in the measure's unit.
    """

    value: float
    base: float
    queries: int
    of: int


def set_of(corpora: Mapping[str, Corpus], corpus: str) -> str:
    """The name of the set that a corpus is in; a group may bear the name of a corpus, and then holds it."""
    return corpora[corpus].group or corpus


def targets(corpora: Mapping[str, Corpus], in_domain: Target) -> dict[str, list[Target]]:
    """Set -> its targets, all with in_domain's measure.

    A corpus is measured on in_domain's split where it judges that, else on the first that it judges; one that judges
    none is in no set.
    """
    sets: dict[str, list[Target]] = {}
    for name, corpus in corpora.items():
        if corpus.judged:
            split = in_domain.split if in_domain.split in corpus.judged else next(iter(corpus.judged))
            target = Target(corpus=name, split=split, measure=in_domain.measure)
            sets.setdefault(set_of(corpora, name), []).append(target)
    return sets


def values(table: pa.Table, sets: Mapping[str, Sequence[Target]], base: str) -> dict[str, dict[str, SetValue]]:
    """Variant -> set -> its value there; none where the variant lacks a corpus of the set.

    table holds per-query values (see per_query).
    """
    by_variant: dict[str, dict[str, SetValue]] = {}
    for name, members in sets.items():
        measured = [_at(table, target, base) for target in members]
        for variant in measured[0]:
            if all(variant in values for values in measured):
                by_variant.setdefault(variant, {})[name] = _mean([values[variant] for values in measured])
    return by_variant


def _at(table: pa.Table, target: Target, base: str) -> dict[str, SetValue]:
    """Variant -> its value and the base's on one target; nothing where the base was not measured."""
    part = per_query.on(table, target.corpus, target.split)
    variants = pc.unique(part["variant"]).to_pylist()
    if base not in variants:
        return {}
    whole = per_query.of(part, base, target)
    by_variant = {}
    for variant in variants:
        one, other = per_query.common(per_query.of(part, variant, target), whole)
        by_variant[variant] = SetValue(one.mean, other.mean, len(one.query_ids), len(whole.query_ids))
    return by_variant


def _mean(parts: Sequence[SetValue]) -> SetValue:
    return SetValue(
        value=float(np.mean([part.value for part in parts])),
        base=float(np.mean([part.base for part in parts])),
        queries=sum(part.queries for part in parts),
        of=sum(part.of for part in parts),
    )
