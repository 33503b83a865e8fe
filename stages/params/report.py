"""The blocks of params.yaml that say how texts are encoded, searched, reranked, measured and reported."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.fields import Name, Positive, Precision, Strict


class Rerank(Strict):
    depth: Positive
    queries: Positive | None = None
    batch_tokens: Positive
    precision: Precision
    seed: int


class Index(Strict):
    precision: Precision
    dtype: Literal["float32", "float16"]
    batch_tokens: Positive
    block: Positive


class Search(Strict):
    depth: Positive
    block: Positive


class Target(Strict):
    """Where and how variants are compared: a measure on a judged split of a corpus."""

    corpus: str
    split: str
    measure: str

    def __str__(self) -> str:
        return f"{self.measure}, {self.corpus} {self.split}"


class Report(Strict):
    base: str
    in_domain: Target
    out_of_domain: Target | None = None
    chosen_on: Name | None = None
    significance: Annotated[float, Field(gt=0, lt=0.5)]
    margin: Annotated[float, Field(gt=0)]
    resamples: Annotated[int, Field(ge=1000)]
    shown: Positive
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def targets(self) -> list[Target]:
        """The target in domain and, where there is one, the target out of domain."""
        return [target for target in (self.in_domain, self.out_of_domain) if target]

    @property
    def choosing(self) -> Target | None:
        """Where the variant of the answer is chosen; None where no split is named for that."""
        return self.in_domain.model_copy(update={"split": self.chosen_on}) if self.chosen_on else None


class Gate(Strict):
    tolerance: Annotated[float, Field(ge=0)]


class Diagnose(Strict):
    passages: Annotated[int, Field(ge=20)]
    neighbours: Positive
    norms: Positive
    seed: int


class ValidationCurve(Strict):
    queries: Positive
    passages: Positive
    every: Positive
    early: list[Positive]


class Umap(Strict):
    corpus: str
    split: str
    pairs: Annotated[int, Field(ge=5)]
    n_neighbors: Annotated[int, Field(ge=2)]
    min_dist: Annotated[float, Field(ge=0, le=1)]
    metric: Literal["cosine", "euclidean"]
    seed: int
