"""What a variant can name as its triplets: blocks that are drawn, scored by a teacher, or mixed of two others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from stages.params.models import RERANKING
from stages.params.triplets import Mix, Scored

if TYPE_CHECKING:
    from stages.params.study import Study


@dataclass(frozen=True)
class TrainingSet:
    """What is known of a folder of data/triplets before it is made.

    `corpora` are those that its queries come from; the first gives the validation sample. `scores` says whose scores of
    positives and negatives it holds; None where it has none, or of both kinds.
    """

    corpora: tuple[str, ...]
    size: int
    negatives_per_query: int
    scores: Literal["pool", "teacher"] | None


def of(study: Study, name: str) -> TrainingSet:
    """The training set of a name in `triplets`, `scored` or `mixes`; all that it is made of must be there."""
    if name in study.triplets:
        block = study.triplets[name]
        return TrainingSet(
            (block.corpus,), block.count, block.negatives_per_query, "pool" if block.ranks is not None else None
        )
    if name in study.scored:
        return replace(of(study, study.scored[name].triplets), scores="teacher")
    mix = study.mixes[name]
    first, second = of(study, mix.first), of(study, mix.second)
    corpora = tuple(dict.fromkeys([*first.corpora, *second.corpora]))
    scores = first.scores if first.scores == second.scores else None
    return TrainingSet(corpora, mix.size, first.negatives_per_query, scores)


def names(study: Study) -> list[str]:
    """All names that a variant can give as its triplets."""
    return [*study.triplets, *study.scored, *study.mixes]


def problems(study: Study) -> Iterator[str]:
    """What is wrong with the blocks of `scored` and `mixes`, and between them, the first problem first."""
    for kind, blocks in (("scored", study.scored), ("mixes", study.mixes)):
        for key, block in blocks.items():
            if key in study.triplets or (kind == "mixes" and key in study.scored):
                yield f"{kind}.{key}: another block of triplets has that name"
            for part in _parts(block):
                if part not in names(study):
                    yield f"{kind}.{key}: no triplets block is called '{part}'; there are: {', '.join(names(study))}"
    for key in study.scored:
        yield from _scored(study, key)
    for key in (*study.scored, *study.mixes):
        if _reaches(study, f"triplets/{key}", f"triplets/{key}"):
            kind = "scored" if key in study.scored else "mixes"
            what = "its teacher or the triplets that it scores were" if kind == "scored" else "one of its parts was"
            yield f"{kind}.{key}: {what} made with it; name others"
    for key in study.mixes:
        yield from _mix(study, key)


def trained_on_own_pool(study: Study, pool: str) -> bool:
    """Whether the retriever of a pool was trained on what the pool ranks, directly or through others."""
    return _reaches(study, f"pools/{pool}", f"pools/{pool}")


def _scored(study: Study, key: str) -> Iterator[str]:
    block, where = study.scored[key], f"scored.{key}"
    named = block.teacher_name
    if block.teacher_kind == "models" and named not in study.rerankers:
        yield f"{where}.teacher: no reranker is called '{named}'; there are: {', '.join(study.rerankers) or 'none'}"
    if block.teacher_kind == "checkpoints":
        known = [name for name, checkpoint in study.checkpoints.items() if checkpoint.architecture in RERANKING]
        if named not in known:
            yield (
                f"{where}.teacher: no checkpoint of architecture {' or '.join(RERANKING)} is called '{named}'; there "
                f"are: {', '.join(known) or 'none'}"
            )


def _mix(study: Study, key: str) -> Iterator[str]:
    mix, where = study.mixes[key], f"mixes.{key}"
    parts = [of(study, name) for name in (mix.first, mix.second)]
    if parts[0].negatives_per_query != parts[1].negatives_per_query:
        yield f"{where}: {mix.first} and {mix.second} have not the same negatives_per_query"
    for name, part, rows in zip((mix.first, mix.second), parts, mix.rows, strict=True):
        if part.size < rows:
            yield f"{where}: takes {rows} triplets of {name}, which has {part.size}; raise its size, or lower that"


def _parts(block: Scored | Mix) -> tuple[str, ...]:
    return (block.triplets,) if isinstance(block, Scored) else (block.first, block.second)


def _reaches(study: Study, start: str, goal: str) -> bool:
    """Whether a folder of data/ is made from another, through at least one step."""
    seen: set[str] = set()
    ahead = _made_from(study, start)
    while ahead:
        node = ahead.pop()
        if node == goal:
            return True
        if node not in seen:
            seen.add(node)
            ahead += _made_from(study, node)
    return False


def _made_from(study: Study, node: str) -> list[str]:
    """The pools, triplets and models that a folder of data/ is made from; none for a name that is not known."""
    kind, _, name = node.partition("/")
    if kind == "pools":
        return [f"models/{study.pools[name].retriever}"] if name in study.pools else []
    if kind == "models":
        if name in study.interpolations:
            return [f"models/{study.interpolations[name].trained}"]
        variants = {**study.searchers, **study.rerankers}
        return [f"triplets/{variants[name].triplets}"] if name in variants else []
    if name in study.triplets:
        return [study.triplets[name].negatives]
    if name in study.scored:
        block = study.scored[name]
        return [f"triplets/{block.triplets}", f"{block.teacher_kind}/{block.teacher_name}"]
    return [f"triplets/{part}" for part in _parts(study.mixes[name])] if name in study.mixes else []
