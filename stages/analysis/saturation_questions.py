"""What the saturation study asks: studies/saturation/questions.yaml."""

from typing import Annotated

from pydantic import Field, model_validator

from stages.analysis import ladder
from stages.evaluation.comparison import BETTER, NO_DIFFERENCE, WORSE
from stages.params.fields import Strict

# What a question of each kind asks for, and what denies it.
WANTED = {"growth": ladder.GROWS, "less_growth": ladder.GROWS_LESS, "last_level": BETTER, "floor": BETTER}
DENIED = {
    "growth": (ladder.DOES_NOT_GROW,),
    "less_growth": (ladder.GROWS_MORE,),
    "last_level": (WORSE, NO_DIFFERENCE),
    "floor": (WORSE, NO_DIFFERENCE),
}


class Question(Strict):
    """One of `growth` of recipes, `less_growth` and `last_level` of pairs of them, `floor` of pairs of levels."""

    ask: str
    growth: tuple[str, ...] = ()
    less_growth: tuple[tuple[str, str], ...] = ()
    last_level: tuple[tuple[str, str], ...] = ()
    floor: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def asks_one_thing(self) -> "Question":
        if sum(bool(getattr(self, kind)) for kind in WANTED) != 1:
            raise ValueError(f"a question asks one of {', '.join(WANTED)}")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in WANTED if getattr(self, kind))


class Collection(Strict):
    """A part that was run; `known` is a split that is not reported, on which a level's own value is read."""

    title: str
    part: str
    split: str
    known: str | None = None


class Questions(Strict):
    """`ladder` names the levels that the line goes through, `beside` others, `recipes` says what each is called."""

    measure: str
    base: str
    ladder: Annotated[list[str], Field(min_length=2)]
    beside: list[str]
    recipes: dict[str, str]
    questions: list[Question]
    collections: dict[str, Collection]
