"""What variants cost or gain in and out of domain, as reports/transfer.json keeps it, and how it is computed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stages.analysis import geometry
from stages.analysis.geometry import Correlation
from stages.analysis.sets import SetValue
from stages.core.rounding import rounded
from stages.params.tuning import Tuning
from stages.params.variants import Retriever, Variant

FEWEST = 5  # sets that a correlation with similarity needs

Kind = Literal["fine-tuned", "interpolated", "fused", "without fine-tuning"]


@dataclass(frozen=True)
class OverSets:
    """The mean over sets of a variant's value minus another's (`against`), in the measure's unit.

    low and high are the ends of an interval over what `over` names, None where it names nothing. won counts the sets on
    which the variant is above. base is the base's mean on the same sets, where the other is not the base.
    """

    sets: list[str]
    value: float
    against: float
    difference: float
    low: float | None
    high: float | None
    over: Literal["sets", "queries"] | None
    won: int
    base: float | None = None

    def change(self, figure: Literal["difference", "low", "high"] = "difference") -> float | None:
        """A figure in per cent of what the variant is compared with; None where that or the figure is nothing."""
        value: float | None = getattr(self, figure)
        return None if value is None else share(value, self.against)

    @property
    def of_base(self) -> float | None:
        """The difference in per cent of the base."""
        return None if self.base is None else share(self.difference, self.base)


@dataclass(frozen=True)
class Part:
    """How many queries a variant was measured on, of how many, over the sets where it lacks some."""

    queries: int
    of: int


@dataclass(frozen=True)
class Domain:
    """The corpus that a variant was trained on, the set in domain, and the sets out of domain."""

    kind: Kind
    trained_on: str | None
    in_domain_set: str
    out_of_domain_sets: list[str]


@dataclass(frozen=True)
class VariantTransfer:
    """A variant against the base. changes is set -> change in per cent of the base there, None where that has 0."""

    variant: str
    domain: Domain
    part: Part | None
    in_domain: OverSets | None
    out_of_domain: OverSets | None
    changes: dict[str, float | None]
    correlation: Correlation | None


@dataclass(frozen=True)
class TuningPair:
    """LoRA against full fine-tuning with the same base checkpoint, triplets and recipe."""

    full: str
    lora: str
    in_domain: OverSets | None
    out_of_domain: OverSets | None


@dataclass(frozen=True)
class Transfer:
    """sets is set -> its corpora and splits; passages is corpus -> how many were counted, of how many.

    similarity is training corpus -> set -> mean similarity of the words of their passages, 0 to 1.
    """

    measure: str
    base: str
    significance: float
    sets: dict[str, list[str]]
    passages: dict[str, tuple[int, int]]
    similarity: dict[str, dict[str, float]]
    variants: list[VariantTransfer]
    pairs: list[TuningPair]

    @property
    def out_of_domain(self) -> bool:
        """Whether any variant was measured out of domain."""
        return any(variant.out_of_domain for variant in self.variants)


def read(path: Path) -> Transfer:
    stored = json.loads(path.read_text())
    return Transfer(
        **{
            **stored,
            "passages": {corpus: tuple(counts) for corpus, counts in stored["passages"].items()},
            "variants": [VariantTransfer(**_typed(entry)) for entry in stored["variants"]],
            "pairs": [TuningPair(**_typed(entry)) for entry in stored["pairs"]],
        }
    )


def as_json(transfer: Transfer) -> str:
    return json.dumps(rounded(asdict(transfer)), indent=1) + "\n"


def _typed(entry: dict[str, Any]) -> dict[str, Any]:
    types = {
        "domain": Domain,
        "part": Part,
        "in_domain": OverSets,
        "out_of_domain": OverSets,
        "correlation": Correlation,
    }
    return {key: types[key](**value) if key in types and value else value for key, value in entry.items()}


def over_sets(
    ones: Mapping[str, float], others: Mapping[str, float], names: Sequence[str], significance: float
) -> OverSets | None:
    """The mean over sets of ones - others, on the named sets that both have; None without any.

    The interval is the 1 - significance t interval with the sets as the sample; one set has none.
    """
    from scipy.stats import t

    sets = [name for name in names if name in ones and name in others]
    if not sets:
        return None
    one, other = (np.array([side[name] for name in sets], np.float64) for side in (ones, others))
    differences = one - other
    mean, n = float(differences.mean()), len(sets)
    reach = float(t.ppf(1 - significance / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return OverSets(
        sets=sets,
        value=float(one.mean()),
        against=float(other.mean()),
        difference=mean,
        low=None if reach is None else mean - reach,
        high=None if reach is None else mean + reach,
        over=None if reach is None else "sets",
        won=int((differences > 0).sum()),
    )


def changes(measured: Mapping[str, SetValue]) -> dict[str, float | None]:
    """Set -> a variant's change in per cent of the base's value there; None where the base has 0."""
    return {name: share(entry.value - entry.base, entry.base) for name, entry in measured.items()}


def correlation(
    changed: Mapping[str, float | None], similarity: Mapping[str, float], sets: Sequence[str]
) -> Correlation | None:
    """Spearman's correlation of change with similarity over the sets out of domain; None with fewer than 5 of them."""
    both = [(similarity[name], changed.get(name)) for name in sets if name in similarity]
    known = [(alike, change) for alike, change in both if change is not None]
    if len(known) < FEWEST:
        return None
    return geometry.correlation([alike for alike, _ in known], [change for _, change in known])


def tuned_alike(variants: Mapping[str, Variant], tunings: Mapping[str, Tuning]) -> list[tuple[str, str]]:
    """(full, LoRA): each two variants that differ only in their tuning, one of kind full and one of kind lora."""
    blocks = {name: block for name, block in variants.items() if isinstance(block, Retriever)}
    alike = {name: block.model_copy(update={"tuning": ""}) for name, block in blocks.items()}

    def of_kind(kind: str) -> list[str]:
        return [name for name, block in blocks.items() if tunings[block.tuning].kind == kind]

    return [(full, lora) for full in of_kind("full") for lora in of_kind("lora") if alike[full] == alike[lora]]


def share(part: float, whole: float) -> float | None:
    """A part in per cent of the whole; None where that is 0."""
    return 100 * part / whole if whole else None
