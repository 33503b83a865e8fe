"""All that a study must say otherwise where a corpus lacks splits that it names, in one line."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.params.study import Study


def for_splits(study: Study, name: str, there: Collection[str]) -> str | None:
    """What to change where the corpus `name` has only the splits `there` in its source; None where it has all."""
    corpus = study.corpora[name]
    needed = {split: rules.subset or split for split, rules in corpus.judged.items()}
    judged = [split for split, subset in needed.items() if subset in there]
    trains = corpus.train is None or corpus.train in there
    if trains and len(judged) == len(needed):
        return None
    absent = [subset for subset in dict.fromkeys([corpus.train, *needed.values()]) if subset and subset not in there]
    judged = judged or [split for split in sorted(there) if not trains or split != corpus.train]
    says = [] if trains else [f"corpora.{name}: leave out train and say validation: 0"]
    if there and not judged:
        first = sorted(there)[0]
        says.append(
            f"corpora.{name}.judged: {{}} to train on it alone, or {{test: {{subset: {first}}}}} to measure on it"
        )
    if judged:
        says += [f"corpora.{name}.judged: {{{', '.join(f'{split}: {{}}' for split in judged)}}}"]
        says += [f"{key}.split: {judged[0]}" for key, target in _targets(study, name) if target not in judged]
    if not trains and trained_on(study, name):
        says.append(without_training(study, name))
    told = f"has no judgments of {' and '.join(absent)}, but of {', '.join(there) or 'nothing'}"
    return f"{told}. Say {'; '.join(says)}" if there else told


def without_training(study: Study, name: str) -> str:
    """What to do with all that is trained on a corpus that nothing can be trained on."""
    named = "; ".join(f"{kind} {', '.join(blocks)}" for kind, blocks in trained_on(study, name).items())
    return f"let what trains on it name another corpus, or remove it: {named}"


def _targets(study: Study, name: str) -> list[tuple[str, str]]:
    """The keys of params.yaml that name a split of a corpus, with that split."""
    named = {
        "report.in_domain": study.report.in_domain,
        "report.out_of_domain": study.report.out_of_domain,
        "umap": study.umap,
    }
    return [(key, target.split) for key, target in named.items() if target is not None and target.corpus == name]


def trained_on(study: Study, name: str) -> dict[str, list[str]]:
    """Kind of block -> the blocks that need training queries of a corpus."""
    pools = [key for key, pool in study.pools.items() if pool.corpus == name]
    read = {key: study.training_set(key) for key in study.training_sets}
    using = [key for key, one in read.items() if name in one.corpora and one.size]
    kinds: dict[str, Collection[str]] = {"triplets": study.triplets, "scored": study.scored, "mixes": study.mixes}
    variants = [key for key, variant in study.variants.items() if getattr(variant, "triplets", None) in using]
    made = {kind: [key for key in using if key in named] for kind, named in kinds.items()}
    blocks = {"pools": pools, **made, "variants": variants}
    return {kind: named for kind, named in blocks.items() if named}
