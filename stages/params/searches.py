"""The block `searches` of params.yaml: variants whose setting a search with a budget chooses on validation."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from stages.params.fields import Positive, Strict
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe, Retriever

Value = bool | int | float | str | None
ALPHA = "alpha"
PLACES = ("tuning", "recipe")


class Axis(Strict):
    """What is tried for one setting: `choices`, or all from `low` to `high`, whole numbers where both ends are whole.

    With `log` each order of magnitude is as likely as another.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Value, ...] | None = None

    @model_validator(mode="after")
    def is_a_range_or_a_list(self) -> "Axis":
        if self.choices is not None:
            if (self.low, self.high, self.log) != (None, None, False):
                raise ValueError("is either a list of choices or a range (low, high, log)")
            if len({(type(choice), choice) for choice in self.choices}) < max(2, len(self.choices)):
                raise ValueError("name at least two different choices")
            return self
        if self.low is None or self.high is None:
            raise ValueError("name low and high, or a list of choices")
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0, got {self.low:g}")
        return self

    @property
    def whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that decide whether a space is legal: all choices, or both ends."""
        return (self.low, self.high) if self.choices is None else self.choices

    def holds(self, value: Value) -> bool:
        """Whether a value is one of those that can be tried."""
        if self.choices is not None:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or self.low is None or self.high is None:
            return False
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())


class Searched(Retriever):
    """Variant `variant` with another setting: the one of `space` whose trial ranks validation best.

    checkpoint, tuning, triplets and recipe are those of `variant`, and corpus that of the triplets. The budget is
    `trials` and, where `hours` is named, that much time. A trial trains with seed `seed`, which seeds the search as
    well. It is scored on all validation queries; among the passages are the `top` that report.base ranks highest for
    each of them, and `random` others.
    """

    variant: str
    corpus: str
    space: Annotated[dict[str, Axis], Field(min_length=1)]
    trials: Positive
    hours: Annotated[float, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=0)]
    pruner: Literal["median", "none"] = "median"
    top: Positive = 50
    random: Annotated[int, Field(ge=0)] = 2000

    @field_validator("space", mode="before")
    @classmethod
    def by_place(cls, space: Any) -> Any:
        """{tuning: {lr: ...}} as {tuning.lr: ...}, a list as its choices."""
        return dict(_flat(space)) if isinstance(space, Mapping) else space

    @field_validator("space")
    @classmethod
    def places_are_known(cls, space: dict[str, Axis]) -> dict[str, Axis]:
        for place, axis in space.items():
            if place == ALPHA:
                if not all(_is_share(end) for end in axis.ends):
                    raise ValueError("alpha: the share of the way from the base, above 0 and at most 1")
            elif place.partition(".")[0] not in PLACES or "." not in place:
                raise ValueError(f"{place}: no such place; name alpha, or what is in tuning or recipe, as tuning.lr")
        return space


def _is_share(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _flat(space: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, entry in space.items():
        is_axis = not isinstance(entry, Mapping) or not entry or {*entry} & {*Axis.model_fields}
        if is_axis:
            found.append((f"{above}{name}", {"choices": entry} if isinstance(entry, list) else entry))
        else:
            found += _flat(entry, f"{above}{name}.")
    return found


Setting = tuple[FineTuning, Recipe, float]


def setting(tuning: FineTuning, recipe: Recipe, values: Mapping[str, Value]) -> Setting:
    """Tuning, recipe and alpha with some values in place of their own, by place; alpha is 1 where it is not searched.

    Raises pydantic's ValidationError for values that a tuning or recipe does not take.
    """
    blocks: dict[str, Any] = {"tuning": tuning.model_dump(), "recipe": recipe.model_dump()}
    for place, value in values.items():
        if place != ALPHA:
            *above, last = place.split(".")
            within = blocks
            for name in above:
                within[name] = within.get(name) or {}
                within = within[name]
            within[last] = value
    alpha = values.get(ALPHA, 1.0)
    tuned: FineTuning = TypeAdapter(FineTuning).validate_python(blocks["tuning"])
    return tuned, Recipe.model_validate(blocks["recipe"]), float(alpha)  # type: ignore[arg-type]


def own(tuning: FineTuning, recipe: Recipe, place: str) -> Value:
    """What a variant has at a place of a space itself; None where it says nothing there."""
    if place == ALPHA:
        return 1.0
    found: Any = {"tuning": tuning.model_dump(), "recipe": recipe.model_dump()}
    for name in place.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, bool | int | float | str) else None
