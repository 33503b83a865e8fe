"""What `diagnose` measured, as reports/diagnosis.json keeps it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.analysis.geometry import Correlation, Figures


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
class Diagnosis:
    """geometry and numerical_checks are variant -> figure -> mean over seed runs (None where one has none).

    geometry is of variants with vectors. correlations is figure of the geometry -> its rank correlation, over the
    fine-tuned retrievers, with their difference from the base.
    """

    sample: Sample
    geometry: dict[str, Figures]
    numerical_checks: dict[str, Figures]
    correlations: dict[str, Correlation]


def read(path: Path) -> Diagnosis:
    stored = json.loads(path.read_text())
    correlations = {name: Correlation(**entry) for name, entry in stored["correlations"].items()}
    return Diagnosis(**{**stored, "sample": Sample(**stored["sample"]), "correlations": correlations})


def as_json(diagnosis: Diagnosis) -> str:
    return json.dumps(asdict(diagnosis), indent=1) + "\n"
