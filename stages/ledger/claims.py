"""The ledger of claims: what each paper says, how it is checked, and the verdict that a figure gives it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.core import yaml_file
from stages.params.fields import Strict
from stages.params.report import Target

HOLDS, FAILS, CONTRADICTED = "holds", "fails", "contradicted by the paper's own figures"
OPEN, UNTESTED = "cannot tell", "not tested at this scale"
VERDICTS = [HOLDS, FAILS, CONTRADICTED, OPEN, UNTESTED]
NAMES = {"value": {"variant"}, "correlation": {"geometry", "variants"}}  # what a figure names; others name two variants

Count = Annotated[int, Field(ge=0)]
Figure = float | str | tuple[float, float]  # a number, a word, or the two ends of the range that a number lies in


class Paper(Strict):
    """`read` says which versions of the paper, and what beside it, we read."""

    arxiv: str
    title: str
    read: str


class Scale(Strict):
    """How large a corpus is: its passages, and the queries of each judged split."""

    passages: Count
    queries: dict[str, Count]


class Needs(Strict):
    """A figure of a study at the paper's size, the mean over `corpora` (a name, or <corpus>/<split>).

    value is that of `variant`; change is in per cent of `against`, difference in the measure's unit; correlation is
    Spearman's of a figure of the vector space (`geometry`) with the value, over `variants`. A measure that begins with
    gpu_ is a figure that training recorded.
    """

    study: str
    corpora: Annotated[list[str], Field(min_length=1)]
    split: str
    measure: str
    figure: Literal["value", "change", "difference", "correlation"]
    variant: str | None = None
    against: str | None = None
    geometry: str | None = None
    variants: list[str] | None = None

    @model_validator(mode="after")
    def names_fit_figure(self) -> "Needs":
        given = {key for key in ("variant", "against", "geometry", "variants") if getattr(self, key) is not None}
        if given != NAMES.get(self.figure, {"variant", "against"}):
            raise ValueError(
                "value names a variant; change and difference a variant and against; correlation geometry and variants"
            )
        return self

    @property
    def named(self) -> list[str]:
        """The variants that the figure is made of."""
        return self.variants or [variant for variant in (self.variant, self.against) if variant]

    @property
    def targets(self) -> list[Target]:
        """Where the figure is measured."""
        corpora = (corpus.partition("/") for corpus in self.corpora)
        return [Target(corpus=corpus, split=split or self.split, measure=self.measure) for corpus, _, split in corpora]


class Claim(Strict):
    """One claim: a figure within `tolerance` of `expected`, or of that `sign` where only a direction is claimed.

    One of `compute` (an expression over printed_tables.yaml), `needs` (a study's figure) and `why` (nobody can tell)
    says how it is checked. `by` says what speaks against the claim if it does not hold: the paper's own
    printed figures, what lies outside the paper (code, thesis, documentation), a library that was asked, or runs.
    """

    paper: str
    place: str
    rests: Literal["published version", "abstract", "author's draft", "thesis", "authors' code", "secondary source"]
    says: str
    quantity: str
    expected: float | str | None = None
    tolerance: tuple[Annotated[float, Field(le=0)], Annotated[float, Field(ge=0)]] | None = None
    sign: Literal["positive", "negative"] | None = None
    by: Literal["own figures", "other sources", "library", "runs", "nobody"]
    compute: str | None = None
    needs: Needs | None = None
    why: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def is_checked_in_one_way(self) -> "Claim":
        way = {"runs": self.needs, "nobody": self.why}.get(self.by, self.compute)
        if way is None or sum(way is not None for way in (self.compute, self.needs, self.why)) != 1:
            raise ValueError("needs compute, or by: runs and needs, or by: nobody and why; and only that one")
        if self.by != "nobody" and self.expected is None:
            raise ValueError("expected is missing: what the paper says, in the quantity's unit")
        if isinstance(self.expected, float) and (self.tolerance is None) == (self.sign is None):
            raise ValueError(
                "tolerance is missing: [how far below, how far above] expected is still the claim; or a sign, if the "
                "paper only claims a direction"
            )
        return self


class Ledger(Strict):
    """`scales` has for the file of a study how large its corpora are in the paper."""

    papers: dict[str, Paper]
    scales: dict[str, dict[str, Scale]]
    claims: dict[str, Claim]

    @model_validator(mode="after")
    def papers_exist(self) -> "Ledger":
        for name, claim in self.claims.items():
            if claim.paper not in self.papers:
                raise ValueError(f"claims.{name}.paper: there is no paper '{claim.paper}'")
        return self


def read(path: Path) -> Ledger:
    """The ledger of a YAML file. Raises UserError with the first wrong entry in one line."""
    return yaml_file.read(path, Ledger)


def verdict(claim: Claim, figure: Figure | None) -> str:
    """What a figure, or the range that it lies in, says of a claim.

    All of it within tolerance of what is expected: it holds. None of it: it fails, or where the figure is made of the
    paper's own, the paper contradicts itself. Part of it: cannot tell. None, a study's figure that is not there: not
    tested.
    """
    if claim.by == "nobody":
        return OPEN
    if figure is None:
        return UNTESTED
    against = CONTRADICTED if claim.by == "own figures" else FAILS
    if isinstance(claim.expected, str) or isinstance(figure, str):
        return HOLDS if figure == claim.expected else against
    low, high = figure if isinstance(figure, tuple) else (figure, figure)
    if claim.sign:
        low, high = (low, high) if claim.sign == "positive" else (-high, -low)
        return HOLDS if low > 0 else against if high <= 0 else OPEN
    expected, tolerance = claim.expected or 0.0, claim.tolerance or (0.0, 0.0)
    slack = 1e-9 * max(1.0, abs(expected))  # a figure on the edge is within
    least, most = expected + tolerance[0] - slack, expected + tolerance[1] + slack
    if least <= low and high <= most:
        return HOLDS
    return against if high < least or low > most else OPEN
