"""The ledger of claims: what each paper says, how it is checked, and what findings rest on it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.core import yaml_file
from stages.ledger.verdicts import VERDICTS, Expected
from stages.params.fields import Strict
from stages.params.report import Target

CLAIM, BESIDE, CAVEAT = "claim", "said beside the paper", "caveat"
PAPERS_OWN = ("published version", "abstract", "author's draft")
NAMES = {"value": {"parts"}, "correlation": {"geometry", "variants"}}  # what a figure names; others name parts

Count = Annotated[int, Field(ge=0)]


class Paper(Strict):
    """`read` says which versions of the paper, and what beside it, we read, and what we could not read whole."""

    arxiv: str
    title: str
    read: str


class Scale(Strict):
    """How large a corpus is: its passages, and the queries of each judged split."""

    passages: Count
    queries: dict[str, Count]


class Needs(Strict):
    """Figures of a study at the paper's size, each the mean over `corpora` (a name, or <corpus>/<split>).

    `parts` is what is measured -> what the paper prints for it: `<variant>` for a value; `<variant> - <variant>` for a
    change, in per cent of the second, and for a difference. A difference or a value is `times` the measure's unit, as
    the paper prints it. correlation is Spearman's of a figure of the vector space (`geometry`) with the value, over
    `variants`. A measure that begins with gpu_ is a figure that training recorded.
    """

    study: str
    corpora: Annotated[list[str], Field(min_length=1)]
    split: str
    measure: str
    figure: Literal["value", "change", "difference", "correlation"]
    parts: Annotated[dict[str, float], Field(min_length=1)] | None = None
    times: float = 1.0
    geometry: str | None = None
    variants: list[str] | None = None

    @model_validator(mode="after")
    def names_fit_figure(self) -> "Needs":
        given = {key for key in ("parts", "geometry", "variants") if getattr(self, key) is not None}
        if given != NAMES.get(self.figure, {"parts"}):
            raise ValueError("value, change and difference name parts; correlation names geometry and variants")
        two = self.figure in ("change", "difference")
        for part in self.parts or {}:
            if (" - " in part) != two:
                raise ValueError(f"parts.{part}: a {self.figure} is of {'<variant> - ' if two else ''}<variant>")
        return self

    def named(self, part: str) -> list[str]:
        """The variants that a part is made of; those of a correlation for its one part, which has no name."""
        return self.variants or part.split(" - ")

    @property
    def each(self) -> list[str]:
        """The names of the parts; one without a name for a correlation."""
        return list(self.parts) if self.parts else [""]

    @property
    def targets(self) -> list[Target]:
        """Where the figure is measured."""
        corpora = (corpus.partition("/") for corpus in self.corpora)
        return [Target(corpus=corpus, split=split or self.split, measure=self.measure) for corpus, _, split in corpora]


class Claim(Strict):
    """One claim: figures within `tolerance` of `expected`, or of a `sign` where only a direction is claimed.

    `caveat` marks what nobody says and what follows from a set-up: `says` is what a comparison takes for granted.
    One of `compute` (an expression over printed_tables.yaml), `needs` (a study's figures) and `why` (nobody can tell)
    says how it is checked. `by` says what speaks against the claim if it does not hold: the paper's own printed
    figures, its authors' code, thesis or records, other sources, a library that was asked, or runs. sign is positive,
    negative, `as printed` (each part's own), or `either` (anything but none). `digits` are the
    decimals that the paper prints, `printed` is what it prints where `expected` is not that itself, and `obtained` the
    words around what was found, {} for it.
    """

    paper: str
    place: str
    rests: Literal["published version", "abstract", "author's draft", "thesis", "authors' code", "secondary source"]
    caveat: bool = False
    says: str
    quantity: str
    digits: Count | None = None
    printed: str | None = None
    obtained: str | None = None
    expected: Expected | list[Expected] | None = None
    tolerance: tuple[Annotated[float, Field(le=0)], Annotated[float, Field(ge=0)]] | None = None
    sign: Literal["positive", "negative", "as printed", "either"] | None = None
    by: Literal["own figures", "authors", "other sources", "library", "runs", "nobody"]
    compute: str | None = None
    needs: Needs | None = None
    why: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def is_checked_in_one_way(self) -> "Claim":
        way = {"runs": self.needs, "nobody": self.why}.get(self.by, self.compute)
        if way is None or sum(way is not None for way in (self.compute, self.needs, self.why)) != 1:
            raise ValueError("needs compute, or by: runs and needs, or by: nobody and why; and only that one")
        if self.by != "nobody" and not self.expectations:
            raise ValueError("expected is missing: what the paper says, in the quantity's unit")
        numbers = any(isinstance(one, float) for one in self.expectations)
        if numbers and (self.tolerance is None) == (self.sign is None):
            raise ValueError(
                "tolerance is missing: [how far below, how far above] expected is still the claim; or a sign, if the "
                "paper only claims a direction"
            )
        return self

    @property
    def kind(self) -> str:
        """CLAIM where the paper says it, BESIDE where only its thesis, code or another source does, or CAVEAT."""
        return CAVEAT if self.caveat else CLAIM if self.rests in PAPERS_OWN else BESIDE

    @property
    def expectations(self) -> list[Expected]:
        """What is expected of each figure."""
        if self.expected is not None:
            return self.expected if isinstance(self.expected, list) else [self.expected]
        return list(self.needs.parts.values()) if self.needs and self.needs.parts else []


class Finding(Strict):
    """A sentence for who reads no further: it stands while each of `claims` has the verdict that is written beside it.

    `section` is where in the paper what it speaks of stands.
    """

    paper: str
    section: str
    says: str
    claims: Annotated[dict[str, str], Field(min_length=1)]


class Ledger(Strict):
    """`scales` has for the file of a study how large its corpora are in the paper."""

    papers: dict[str, Paper]
    scales: dict[str, dict[str, Scale]]
    findings: list[Finding] = Field(default_factory=list)
    claims: dict[str, Claim]

    @model_validator(mode="after")
    def names_exist(self) -> "Ledger":
        for name, claim in self.claims.items():
            if claim.paper not in self.papers:
                raise ValueError(f"claims.{name}.paper: there is no paper '{claim.paper}'")
        for at, finding in enumerate(self.findings):
            for name, verdict in finding.claims.items():
                if name not in self.claims or self.claims[name].paper != finding.paper:
                    raise ValueError(f"findings.{at}.claims: {finding.paper} has no claim '{name}'")
                if verdict not in VERDICTS:
                    raise ValueError(f"findings.{at}.claims.{name}: there is no verdict '{verdict}'")
        return self


def read(path: Path) -> Ledger:
    """The ledger of a YAML file. Raises UserError with the first wrong entry in one line."""
    return yaml_file.read(path, Ledger)
