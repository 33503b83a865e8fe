"""Whether the study at hand is the one that a paper's claim is about: its corpora, its variants, its precision."""

from collections.abc import Mapping
from typing import Any

from stages.ledger.claims import Needs, Scale
from stages.params import Study
from stages.params.corpora import Corpus
from stages.params.triplets import Triplets

WITHOUT_TEXT = 0.005  # the share of a collection's passages that may have no text, and so are not on disk


def missing(
    needs: Needs,
    part: str,
    here: Study,
    paper: Study | None,
    sizes: Mapping[str, Scale],
    scales: Mapping[str, Scale],
) -> str | None:
    """Why the study at hand cannot judge a part of what a claim needs; None where it can.

    paper is the study of the file that the claim names, None where that is not written yet; sizes are those of the
    corpora on disk, scales those of the ledger.
    """
    if paper is None:
        return f"{needs.study} is not written yet"
    named = needs.named(part)
    splits: dict[str, str | None] = {
        corpus: None for name in named if name in paper.variants and (corpus := paper.trained_on(name))
    }
    splits |= {target.corpus: target.split for target in needs.targets}
    for corpus, split in splits.items():
        if reason := _other_corpus(corpus, split, here, paper, sizes.get(corpus), scales.get(corpus)):
            return reason
    reranked = any(name in here.rerankers for name in named)
    if reranked and here.rerank.precision not in ("float32", paper.rerank.precision):
        return f"this study reranks in {here.rerank.precision}, the paper's in {paper.rerank.precision}"
    if here.index.precision not in ("float32", paper.index.precision):
        return f"this study encodes in {here.index.precision}, the paper's in {paper.index.precision}"
    for name in named:
        if name not in paper.variants:
            return f"{needs.study} has no variant {name}"
        if name not in here.variants:
            return f"this study has no variant {name}"
        if differs := _first_difference(made_of(here, name, paper), made_of(paper, name, paper)):
            return f"variant {name} is not that of {needs.study}: {differs} differs"
    return None


def _other_corpus(
    corpus: str, split: str | None, here: Study, paper: Study, size: Scale | None, scale: Scale | None
) -> str | None:
    """Why a corpus is not the paper's, or its judged split is not; split None is a corpus to train on."""
    if corpus not in here.corpora:
        return f"this study has no corpus {corpus}"
    mine, theirs, name = here.corpora[corpus], paper.corpora.get(corpus), f"{corpus} {split}" if split else corpus
    if theirs is None or (split and split not in theirs.judged):
        return f"the paper's study has no judged split {split} of {corpus}"
    if differs := _first_difference(_of_split(mine, split), _of_split(theirs, split)):
        return f"{name} is not the paper's: {differs} differs"
    if size is None:
        return f"{corpus} is not on disk"
    if scale is None:
        return f"the ledger does not say how large {corpus} is"
    if not (1 - WITHOUT_TEXT) * scale.passages <= size.passages <= scale.passages:
        return f"{name} has {size.passages:,} passages, the paper's {scale.passages:,}"
    if split and size.queries.get(split) != scale.queries.get(split):
        return f"{name} has {size.queries.get(split, 0):,} queries, the paper's {scale.queries.get(split, 0):,}"
    return None


def _of_split(corpus: Corpus, split: str | None) -> dict[str, Any]:
    """A corpus's block as far as it bears on one judged split."""
    block = corpus.model_dump(exclude={"judged", "publish", "group"})
    return block | {"judgments": corpus.judged.get(split) if split else None}


def made_of(study: Study, name: str, paper: Study) -> dict[str, Any]:
    """All that makes a variant what it is, by block.

    A checkpoint is known by its hash, wherever it comes from; where the paper's study has none, by its name on the hub:
    the revision is what that study leaves to be pinned.
    """
    if name in study.interpolations:
        block = study.interpolations[name]
        return {"trained": made_of(study, block.trained, paper), "alphas": block.alphas}
    if name in study.fusions:
        fusion = study.fusions[name]
        return {**fusion.model_dump(), "of": [made_of(study, one, paper) for one in fusion.of]}
    variant = {**study.trained, **study.rerankers}[name]
    checkpoint, read = study.checkpoints[variant.checkpoint], variant.triplets
    triplets = {**study.triplets, **study.scored, **study.mixes}[read]
    hashed = paper.checkpoints.get(variant.checkpoint, checkpoint).sha256
    made = {
        "checkpoint": checkpoint.sha256 if hashed else checkpoint.source.rpartition("@")[0] or checkpoint.source,
        **checkpoint.model_dump(exclude={"source", "sha256", "remote_code"}),
        "tuning": study.tunings[variant.tuning],
        "recipe": study.recipes.get(variant.recipe),
    }
    if name in study.searches:
        made |= {"search": study.searches[name]}
    if not isinstance(triplets, Triplets):
        made |= {"triplets": triplets}
    elif triplets.size:
        pool = study.pools.get(triplets.negatives.removeprefix("pools/"))
        made |= {"triplets": triplets, "pool": pool, "miner": pool and made_of(study, pool.retriever, paper)}
    if name in study.rerankers:
        first_stage = made_of(study, study.rerankers[name].first_stage, paper)
        made |= {"first stage": first_stage, "depth": study.rerank.depth, "queries": study.rerank.queries}
    return made


def _first_difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    return next((part for part in {**one, **other} if one.get(part) != other.get(part)), None)
