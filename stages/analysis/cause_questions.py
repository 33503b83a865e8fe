"""What the cause study asks: studies/cause/questions.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Strict

BEST, AT_DRIFT = "best ", " at drift"


class Pair(Strict):
    """Two sides: each a variant, `best <sweep>`, or both `<sweep> at drift`; and the finding that they bear on."""

    variant: str
    against: str
    says: str
    finding: str | None = None


class Finding(Strict):
    """A sentence of the abstract: a clause, the verdict that it asks for, and whose line where it is of saturation.

    `before` is a sentence to say before it.
    """

    says: str
    before: str | None = None
    expect: str
    saturation: str | None = None


class Question(Strict):
    """`asked_after` names what had been read before it was asked, where that is so."""

    ask: str
    asked_after: str | None = None
    expect: Literal["worse", "better", "differ"]
    pairs: Annotated[list[Pair], Field(min_length=1)]

    @property
    def words(self) -> str:
        """The question, and when it was asked where that was late."""
        return f"{self.ask} (Asked after {self.asked_after} were read.)" if self.asked_after else self.ask


class Collection(Strict):
    """Parts that are read together; the best variant of a sweep is chosen on the split `choose`.

    `short` is its name within sentences. `seen` says that the base checkpoint's card names it as training data.
    """

    title: str
    short: str
    seen: bool = False
    parts: Annotated[list[str], Field(min_length=1)]
    split: str
    measure: str
    choose: str | None = None
    geometry: bool = True
    questions: str


class Questions(Strict):
    """`base` is the variant whose value per cents are of; two sweeps are compared at so many `drifts`."""

    base: str
    drifts: Positive
    abstract: dict[str, Finding]
    sweeps: dict[str, list[str]]
    questions: dict[str, list[Question]]
    collections: dict[str, Collection]

    @model_validator(mode="after")
    def names_exist(self) -> "Questions":
        for name, collection in self.collections.items():
            if collection.questions not in self.questions:
                raise ValueError(f"collections.{name}.questions: there are no questions '{collection.questions}'")
        for pair in (pair for asked in self.questions.values() for question in asked for pair in question.pairs):
            for side in (pair.variant, pair.against):
                if _sweep(side) != side and _sweep(side) not in self.sweeps:
                    raise ValueError(f"{side}: there is no sweep '{_sweep(side)}'")
            if pair.finding is not None and pair.finding not in self.abstract:
                raise ValueError(f"{pair.says}: there is no finding '{pair.finding}' in the abstract")
        return self

    def members(self, side: str) -> list[str]:
        """The variants that a side of a pair stands for: a sweep's, or the one that it names."""
        return [side] if _sweep(side) == side else self.sweeps[_sweep(side)]


def _sweep(side: str) -> str:
    return side.removeprefix(BEST).removesuffix(AT_DRIFT)
