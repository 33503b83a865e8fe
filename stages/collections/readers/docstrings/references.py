"""Which documented object a documentation string means by a name."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from stages.collections.readers.docstrings.harvest import Documented


def resolver(objects: Sequence[Documented]) -> Callable[[str, Documented], int | None]:
    """A function from (a name, the object whose text says it) to the number of the object meant, None if unclear.

    The parts of the name must stand in the object's dotted name in their order and end it: modules that only hide where
    something is written are left out of public names. A name that starts with no package read here is looked up in the
    package where it stands. Of several objects the one nearest to that place is meant, then the one with the shortest
    dotted name, and none where two are left.
    """
    called: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for number, item in enumerate(objects):
        parts = item.name.split(".")
        called[parts[-1]].append((number, parts))
    packages = {item.name.split(".")[0] for item in objects}

    def meant(name: str, where: Documented) -> int | None:
        wanted, place = name.split("."), where.name.split(".")
        package = wanted[0] if wanted[0] in packages else place[0]
        ranked = sorted(
            (-shared(parts, place), len(parts), number)
            for number, parts in called[wanted[-1]]
            if parts[0] == package and parts != place and subsequence(wanted, parts)
        )
        clear = ranked and (len(ranked) == 1 or ranked[0][:2] != ranked[1][:2])
        return ranked[0][2] if clear else None

    return meant


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many first parts two dotted names share."""
    for length, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return length
    return min(len(one), len(other))


def subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether all of `part` stands in `whole` in the same order, with or without gaps."""
    left = iter(whole)
    return all(item in left for item in part)
