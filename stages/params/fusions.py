"""Fusions that cannot be: members that are not there, circles, and weights without a split to choose them on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.params.study import Study


def problems(study: Study) -> Iterator[str]:
    """What is wrong with the fusions of a study whose retrievers and interpolations are right, the first first."""
    ranking = {**study.searchers, **study.fusions}
    for key, fusion in study.fusions.items():
        where = f"fusions.{key}"
        if key in study.searchers:
            yield f"{where}: another variant has that name"
        for name in fusion.of:
            if name not in ranking:
                yield f"{where}.of: no variant that searches is called '{name}'; there are: {', '.join(ranking)}"
        if len(set(fusion.of)) < len(fusion.of):
            yield f"{where}.of: a variant stands twice; give it more weight with kind: weighted"
    for key in study.fusions:
        if _fuses(study, key, key):
            yield f"fusions.{key}.of: leads back to '{key}' itself; a fusion fuses other variants"
    for key, fusion in study.fusions.items():
        if fusion.kind == "weighted" and fusion.weights is None:
            yield from _choosing_weights(study, key)


def _fuses(study: Study, fusion: str, wanted: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a fusion fuses `wanted`, itself or through others."""
    names = [name for name in study.fusions[fusion].of if name in study.fusions and name not in seen]
    return wanted in study.fusions[fusion].of or any(_fuses(study, name, wanted, seen | {fusion}) for name in names)


def _choosing_weights(study: Study, key: str) -> Iterator[str]:
    """Why there is nothing to choose weights on; the split that judges would flatter what was chosen on it."""
    where, choosing = f"fusions.{key}", study.report.choosing
    cure = f"say {where}.weights: {[1] * len(study.fusions[key].of)}, or kind: rrf"
    if choosing is None or choosing == study.report.in_domain:
        yield f"{where}: weights are chosen on report.chosen_on, which names no split but the one that judges; {cure}"
        return
    if choosing.split not in study.corpora[choosing.corpus].judged:
        yield (
            f"{where}: weights are chosen on report.chosen_on, and corpora.{choosing.corpus} has no judged split "
            f"'{choosing.split}'; {cure}"
        )
    for name in study.members(key):
        checkpoint = study.checkpoints[study.retrievers[name].checkpoint] if name in study.retrievers else None
        run = (checkpoint.corpus, checkpoint.split) if checkpoint and checkpoint.split else None
        if run and run != (choosing.corpus, choosing.split):
            split = f"{choosing.corpus} {choosing.split}"
            yield f"{where}: weights are chosen on {split}, and '{name}' has no run there; {cure}"
