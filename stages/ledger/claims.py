"""The ledger of claims: what each paper says, by what it can be checked, and the verdict that a figure gives it."""
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.core.errors import UserError

HOLDS, FAILS, CONTRADICTED = "holds", "fails", "contradicted by the paper's own figures"
OPEN, UNTESTED = "cannot tell", "not tested at this scale"
VERDICTS = [HOLDS, FAILS, CONTRADICTED, OPEN, UNTESTED]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Paper(Strict):
    arxiv: str
    title: str
    read: str


class Scale(Strict):
    """How large a corpus is in a paper: its passages, and the queries of each judged split."""
    passages: Annotated[int, Field(gt=0)]
    queries: dict[str, Annotated[int, Field(gt=0)]]


class Needs(Strict):
    """A figure of a study at full size: of `row`, against another row, the mean over `corpora`.

    value is the row's own, change is in per cent of `against`, difference in the measure's unit, correlation is
    Spearman's of a figure of the spaces (`of`) with the value, over `rows`.
    """
    study: str
    corpora: Annotated[list[str], Field(min_length=1)]
    split: str
    measure: str
    figure: Literal["value", "change", "difference", "correlation"]
    row: str | None = None
    against: str | None = None
    of: str | None = None
    rows: list[str] | None = None

    @model_validator(mode="after")
    def names_fit_figure(self):
        named = {key for key in ("variant", "against", "of", "variants") if getattr(self, key) is not None}
        if named != {"value": {"variant"}, "correlation": {"of", "variants"}}.get(self.figure, {"variant", "against"}):
            raise ValueError("value names a row; change and difference a row and against; correlation an of and rows")
        return self

    @property
    def named(self) -> list[str]:
        """The rows that the figure is made of."""
        return self.variants or [row for row in (self.row, self.against) if row]


class Claim(Strict):
    """One claim. expected is the figure as the paper has it; what is claimed is that it is so within tolerance, or,
    where only a direction is claimed, that it has that sign. `compute` is an expression over
    stages/ledger/printed_tables.yaml, `needs` a study's figure, `why` what nobody can say.

    by says what speaks against the claim if the figure is out of tolerance: the paper's own printed figures, what lies
    outside it (code, thesis, documentation), or a library that was asked.
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
    def is_checked_in_one_way(self):
        ways = {"runs": self.needs, "nobody": self.why}.get(self.by, self.compute)
        if ways is None or sum(way is not None for way in (self.compute, self.needs, self.why)) != 1:
            raise ValueError("needs compute, or by: runs and needs, or by: nobody and why; and only that one")
        if self.by != "nobody" and self.expected is None:
            raise ValueError("expected is missing: what the paper says, in the quantity's unit")
        if isinstance(self.expected, float) and (self.tolerance is None) == (self.sign is None):
            raise ValueError("tolerance is missing: [how far below, how far above] expected is still the claim; or a "
                             "sign, if only a direction is claimed")
        return self


class Ledger(Strict):
    papers: dict[str, Paper]
    scales: dict[str, dict[str, Scale]]
    claims: dict[str, Claim]

    @model_validator(mode="after")
    def papers_exist(self):
        for name, claim in self.claims.items():
            if claim.paper not in self.papers:
                raise ValueError(f"claims.{name}.paper: there is no paper '{claim.paper}'")
        return self


def read(path: Path) -> Ledger:
    """The ledger of a YAML file. Raises UserError with the first wrong entry in one line."""
    try:
        return Ledger.model_validate(parsed(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function-", "tuple", "is-")))
        raise UserError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}")


def parsed(path: Path) -> dict:
    """A YAML file's content. Raises UserError where it cannot be read."""
    from ruamel.yaml import YAML, YAMLError
    try:
        return YAML(typ="safe").load(path.read_text())
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}")


def verdict(claim: Claim, found: float | str | tuple[float, float] | None) -> str:
    """What a figure, or the range that it lies in, says of a claim.

    All of it within tolerance of what is expected: it holds. None of it: it fails, or where the figure is made of the
    paper's own, the paper contradicts itself. Part of it: cannot tell. A study's figure that is not there: not tested.
    """
    if claim.by == "nobody":
        return OPEN
    if found is None:
        return UNTESTED
    against = CONTRADICTED if claim.by == "own figures" else FAILS
    if isinstance(claim.expected, str) or isinstance(found, str):
        return HOLDS if found == claim.expected else against
    low, high = found if isinstance(found, tuple) else (found, found)
    if claim.sign:
        low, high = (low, high) if claim.sign == "positive" else (-high, -low)
        return HOLDS if low > 0 else against if high <= 0 else OPEN
    least, most = (claim.expected + part for part in claim.tolerance)
    slack = 1e-9 * max(1.0, abs(claim.expected))  # a figure on the edge is within
    if least - slack <= low and high <= most + slack:
        return HOLDS
    return against if high < least - slack or low > most + slack else OPEN
