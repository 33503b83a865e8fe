"""Variants that differ in how much they were trained on alone: would more training pairs help?"""

from stages.params import Study


def groups(study: Study) -> list[list[str]]:
    """Retrievers that differ in the `share` of their triplets alone, the smallest share first; two or more a group."""
    alike: dict[str, dict[float, str]] = {}
    for name, block in study.retrievers.items():
        triplets = study.triplets.get(block.triplets)
        if triplets and triplets.size:
            same = block.model_copy(update={"triplets": ""}), triplets.model_copy(update={"share": 1.0})
            alike.setdefault(repr(same), {}).setdefault(triplets.share, name)
    return [[by_share[share] for share in sorted(by_share)] for by_share in alike.values() if len(by_share) > 1]


def last_steps(study: Study) -> list[tuple[str, str]]:
    """(the variant with the largest share, that with the share before it) of each group."""
    return [(group[-1], group[-2]) for group in groups(study)]
