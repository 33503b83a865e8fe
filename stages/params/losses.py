"""The losses and regularizers that a recipe can name."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.fields import Positive, Strict

CROSS_ENCODER_LOSSES = ("pointwise", "listwise", "margin-mse")


Distance = Literal["cosine", "euclidean", "dot"]


class TripletLoss(Strict):
    """`distance` left out is that of the model's own similarity, cosine or dot."""

    kind: Literal["triplet"]
    distance: Distance | None = None
    margin: Annotated[float, Field(gt=0)]


class InBatchLoss(Strict):
    """`hard_negatives` adds the triplets' negatives to the batch's; `mini_batch` texts are held in memory at once.

    `scale` left out is 20 where the model's similarity is cosine and 1 where it is dot.
    """

    kind: Literal["in-batch"]
    scale: Annotated[float, Field(gt=0)] | None = None
    hard_negatives: bool
    mini_batch: Positive | None = None


class ContrastiveLoss(Strict):
    """`distance` left out is the cosine distance; a model whose similarity is dot has to name one."""

    kind: Literal["contrastive"]
    distance: Distance | None = None
    margin: Annotated[float, Field(gt=0)]


class PointwiseLoss(Strict):
    """Binary cross-entropy on query-passage pairs, for cross-encoders."""

    kind: Literal["pointwise"]


class ListwiseLoss(Strict):
    """Softmax cross-entropy over a query's passages (ListNet), for cross-encoders."""

    kind: Literal["listwise"]


class MarginMseLoss(Strict):
    """Squared error of the positive's lead over the negative against `scale` times the pool's, for cross-encoders."""

    kind: Literal["margin-mse"]
    scale: Annotated[float, Field(gt=0)] = 1.0


Loss = Annotated[
    TripletLoss | InBatchLoss | ContrastiveLoss | PointwiseLoss | ListwiseLoss | MarginMseLoss,
    Field(discriminator="kind"),
]


class WeightsRegularizer(Strict):
    """Adds weight x the squared distance of the trained weights from the base checkpoint's."""

    kind: Literal["weights"]
    weight: Annotated[float, Field(gt=0)]


class ScoresRegularizer(Strict):
    """Adds weight x the divergence of the batch's similarities from those of the frozen base checkpoint.

    `scale` left out is that of the in-batch loss: 20 where the model's similarity is cosine, 1 where it is dot.
    """

    kind: Literal["scores"]
    weight: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)] | None = None


Regularizer = Annotated[WeightsRegularizer | ScoresRegularizer, Field(discriminator="kind")]
