"""The blocks of params.yaml that make variants: `recipes`, `retrievers`, `interpolations`, `fusions`, `rerankers`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Precision, Strict
from stages.params.losses import RETRIEVER_LOSSES, Loss, Regularizer


class Recipe(Strict):
    """How a variant is trained: its loss, what the loss sees, and the schedule.

    `normalize` says whether the loss sees unit vectors; left out, it sees what is searched: unit vectors where the
    model's similarity is cosine, the model's own where it is dot. `select: best` keeps the weights that ranked
    validation best; training ends after `patience` validations without a better one.
    """

    loss: Loss
    normalize: bool | None = None
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
        if self.loss.kind not in RETRIEVER_LOSSES and (self.regularizer or self.select == "best"):
            raise ValueError(f"regularizer and select: best are for retrievers' losses, not for {self.loss.kind}")
        return self

    @property
    def diameter(self) -> float | None:
        """The largest distance that two vectors can have under this recipe; None where nothing known bounds it.

        What the recipe leaves to the model is taken as of a model whose similarity is cosine.
        """
        distance = getattr(self.loss, "distance", None) or "cosine"
        is_unit = self.normalize is not False and (distance != "dot" or self.normalize)
        return 2.0 if distance == "cosine" or is_unit else None

    def contradiction(self, similarity: str) -> str | None:
        """Why a retriever of this similarity, cosine or dot, is not trained by the recipe; None where it is."""
        if similarity != "dot":
            return None
        distance = getattr(self.loss, "distance", None)
        cure = "leave it out, or say checkpoints.<name>.similarity: cosine"
        if self.normalize:
            return f"normalize: true trains unit vectors, and this model is searched by inner product (dot); {cure}"
        if distance == "cosine":
            return f"distance: cosine trains what is not searched: this model's similarity is dot; {cure}"
        if self.loss.kind == "contrastive" and distance is None:
            return (
                "contrastive pulls pairs to an absolute distance, which the inner product of this model (similarity: "
                "dot) is not; use in-batch or triplet, or name a distance"
            )
        return None


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


Members = Annotated[list[str], Field(min_length=2, max_length=4)]  # dvc.yaml names each of up to four


class ReciprocalRanks(Strict):
    """A variant that fuses the runs of others: each gives a passage 1 / (k + its rank there)."""

    kind: Literal["rrf"]
    of: Members
    k: Positive = 60


class WeightedSum(Strict):
    """A variant that adds up the scores of others, each query's between 0 and 1, times a weight a member.

    Where no weights are given, those are taken that rank best on report.chosen_on.
    """

    kind: Literal["weighted"]
    of: Members
    weights: list[Annotated[float, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def weights_fit_members(self) -> "WeightedSum":
        if self.weights is None:
            return self
        if len(self.weights) != len(self.of):
            raise ValueError(
                f"weights has {len(self.weights)} numbers, and of has {len(self.of)} variants; give one for each"
            )
        if not sum(self.weights):
            raise ValueError("weights are all 0; one of them has to be above")
        return self


Fusion = Annotated[ReciprocalRanks | WeightedSum, Field(discriminator="kind")]
Variant = Retriever | Reranker | Interpolation | ReciprocalRanks | WeightedSum
