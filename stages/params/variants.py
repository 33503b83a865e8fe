"""The blocks of params.yaml that make variants: `recipes`, `retrievers`, `interpolations`, `rerankers`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Precision, Strict
from stages.params.losses import CROSS_ENCODER_LOSSES, Loss, Regularizer


class Recipe(Strict):
    """How a variant is trained: its loss, what the loss sees, and the schedule.

    `select: best` keeps the weights that ranked validation best; training ends after `patience` validations without a
    better one.
    """

    loss: Loss
    normalize: bool = True
    batch: Positive
    epochs: Positive
    stop: Positive | None = None
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Annotated[float, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Annotated[float, Field(gt=0)]
    precision: Precision = "float32"
    regularizer: Regularizer | None = None
    select: Literal["last", "best"] = "last"
    patience: Positive | None = None

    @model_validator(mode="after")
    def parts_agree(self) -> "Recipe":
        if self.stop and self.stop > self.epochs:
            raise ValueError(f"stop {self.stop} comes after the last of {self.epochs} epochs")
        if self.patience and self.select != "best":
            raise ValueError("patience waits for a better model: it needs select: best")
        if self.loss.kind in CROSS_ENCODER_LOSSES and (self.regularizer or self.select == "best"):
            raise ValueError(f"regularizer and select: best are for retrievers' losses, not for {self.loss.kind}")
        return self

    @property
    def diameter(self) -> float | None:
        """The largest distance that two vectors can have under this recipe; None where there is no bound."""
        return 2.0 if getattr(self.loss, "distance", None) == "cosine" or self.normalize else None


class Retriever(Strict):
    """A variant that searches: the base checkpoint, which weights move, what training reads, and how."""

    checkpoint: str
    tuning: str
    triplets: str
    recipe: str


class Reranker(Retriever):
    """A cross-encoder, or late interaction, over what variant `first_stage` retrieves."""

    first_stage: str


class Interpolation(Strict):
    """The weights between `checkpoint` and variant `trained`: checkpoint + alpha x (trained - checkpoint).

    The alpha of `alphas` that ranks the validation sample of `triplets` best is taken, among equals the smallest.
    """

    checkpoint: str
    trained: str
    triplets: str
    alphas: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]


Variant = Retriever | Reranker | Interpolation
