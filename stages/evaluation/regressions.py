"""Variants now and at an earlier revision: which is which, and which got worse.

The verdicts of stages/gate.py, which .github/compare.sh runs on a pull request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stages.evaluation import comparison
from stages.evaluation.comparison import Comparison, per_cent
from stages.evaluation.per_query import PerQuery

FELL, WITHIN_TOLERANCE, UNCHANGED = "got worse", "worse within tolerance", "unchanged"
RECIPE = ("checkpoint", "tuning", "triplets", "recipe", "first_stage", "trained", "of", "space")


@dataclass(frozen=True, eq=False)
class Revised:
    """A variant now and before, on the queries and seeds that both have, and their comparison.

    The comparison's verdict, where it has one, is FELL, WITHIN_TOLERANCE, UNCHANGED (query by query), or one of
    comparison.VERDICTS with the tolerance for a margin.
    """

    variant: str
    now: PerQuery
    before: PerQuery
    comparison: Comparison

    @property
    def verdict(self) -> str | None:
        return self.comparison.verdict

    @property
    def changed(self) -> bool:
        return bool(self.comparison.better or self.comparison.worse)

    def change(self, figure: str = "difference") -> float | None:
        """A figure of the comparison in per cent of the value before; None where that is 0."""
        value = getattr(self.comparison, figure)
        return None if value is None else per_cent(value, self.before.mean)


def judged(revised: Sequence[Revised], significance: float, tolerance: float) -> list[Revised]:
    """Each with its verdict; those that changed are one family.

    A variant got worse when its corrected p is below significance and it lost more than tolerance per cent of its
    value.
    """
    changed = [entry for entry in revised if entry.changed]
    allowed = [tolerance / 100 * entry.before.mean for entry in changed]
    verdicts = {}
    compared = comparison.judge([entry.comparison for entry in changed], significance, allowed)
    for entry, one, most in zip(changed, compared, allowed, strict=True):
        if one.verdict == comparison.WORSE:
            one = replace(one, verdict=FELL if -one.difference > most else WITHIN_TOLERANCE)
        verdicts[entry.variant] = one
    return [
        replace(
            entry, comparison=verdicts.get(entry.variant, replace(entry.comparison, p_family=1.0, verdict=UNCHANGED))
        )
        for entry in revised
    ]


def earlier_names(
    variants: Sequence[str],
    earlier: Sequence[str],
    blocks: Mapping[str, Mapping[str, Any]],
    earlier_blocks: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Variant -> its earlier name: the same one, or that of a variant that is gone and had the same recipe.

    blocks and earlier_blocks are variant -> its block of params.yaml. A new variant is left out.
    """
    gone = [name for name in earlier if name not in variants]
    names = {}
    for variant in variants:
        recipe = _recipe(blocks, variant)
        same = [name for name in gone if recipe and recipe == _recipe(earlier_blocks, name)]
        if variant in earlier:
            names[variant] = variant
        elif same:
            names[variant] = same[0]
            gone.remove(same[0])
    return names


def variants_of(settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Variant -> its block, for the settings of an earlier revision; what is of another form is passed over."""
    names = ("retrievers", "interpolations", "fusions", "searches", "rerankers")
    tables = [settings.get(name) for name in names]
    blocks = {name: block for table in tables if isinstance(table, dict) for name, block in table.items()}
    return {name: block for name, block in blocks.items() if isinstance(block, dict)}


def earlier_corpus(corpus: str, source: str, settings: Mapping[str, Any]) -> str:
    """What a corpus was called in the settings of an earlier revision: its name now, or that of its source."""
    corpora = settings.get("corpora")
    known = (
        {name: block for name, block in corpora.items() if isinstance(block, dict)} if isinstance(corpora, dict) else {}
    )
    same = [name for name, block in known.items() if block.get("source") == source]
    return same[0] if corpus not in known and len(same) == 1 else corpus


def _recipe(blocks: Mapping[str, Mapping[str, Any]], variant: str) -> list[Any] | None:
    block = blocks.get(variant)
    return None if block is None else [block.get(key) for key in RECIPE]
