"""What `diagnose` measured, as reports/diagnosis.json keeps it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stages.analysis.geometry import Correlation, Figures
from stages.models.local_settings import Reading


@dataclass(frozen=True)
class Sample:
    """What was looked at: a target, so many passages (`norms` of them encoded raw), queries, and relevant pairs."""

    corpus: str
    split: str
    measure: str
    passages: int
    neighbours: int
    norms: int
    seed: int
    queries: int
    pairs: int


@dataclass(frozen=True)
class Cut:
    """Of so many texts, `cut` were longer than the `tokens` that a model reads of them; None where it reads all."""

    texts: int
    cut: int
    tokens: int | None


@dataclass(frozen=True)
class Diagnosis:
    """geometry and numerical_checks are variant -> figure -> mean over seed runs (None where one has none).

    geometry is of variants with vectors. correlations is figure of the geometry -> its rank correlation, over the
    fine-tuned retrievers, with their difference from the base. readings is variant -> how its model reads texts; cut is
    variant -> corpus -> "docs" or a split of queries -> how many of them it did not read whole. computed is variant ->
    the precision that its vectors or scores were computed in.
    """

    sample: Sample
    geometry: dict[str, Figures]
    numerical_checks: dict[str, Figures]
    correlations: dict[str, Correlation]
    readings: dict[str, Reading] = field(default_factory=dict)
    cut: dict[str, dict[str, dict[str, Cut]]] = field(default_factory=dict)
    computed: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Diagnosis:
    stored = json.loads(path.read_text())
    correlations = {name: Correlation(**entry) for name, entry in stored["correlations"].items()}
    readings = {variant: Reading(**entry) for variant, entry in stored.get("readings", {}).items()}
    cut = {
        variant: {corpus: {name: Cut(**entry) for name, entry in texts.items()} for corpus, texts in by_corpus.items()}
        for variant, by_corpus in stored.get("cut", {}).items()
    }
    sample = Sample(**stored["sample"])
    computed = stored.get("computed", {})
    return Diagnosis(sample, stored["geometry"], stored["numerical_checks"], correlations, readings, cut, computed)


def as_json(diagnosis: Diagnosis) -> str:
    return json.dumps(asdict(diagnosis), indent=1) + "\n"
