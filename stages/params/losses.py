"""The losses and regularizers that a recipe can name."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.fields import Positive, Strict

# Kinds by what they train; those that no retriever can be trained with are a cross-encoder's own.
RETRIEVER_LOSSES = ("triplet", "in-batch", "contrastive", "distill-kl", "margin-mse")
CROSS_ENCODER_LOSSES = ("pointwise", "listwise", "margin-mse")
LATE_INTERACTION_LOSSES = ("in-batch",)
SEVERAL_NEGATIVES = ("distill-kl", "margin-mse")  # kinds that are fed all negatives of a query

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
    """Squared error of the positive's lead over each negative against `scale` times a teacher's, or the pool's."""

    kind: Literal["margin-mse"]
    scale: Annotated[float, Field(gt=0)] = 1.0


class DistillKlLoss(Strict):
    """KL(teacher || student) over a query's positive and negatives, for retrievers.

    Each is a softmax of scores, the teacher's over `teacher_temperature` and the student's similarities over
    `temperature`. `contrastive` is the weight of an in-batch loss that is added, of scale 1 / temperature.
    """

    kind: Literal["distill-kl"]
    temperature: Annotated[float, Field(gt=0)]
    teacher_temperature: Annotated[float, Field(gt=0)]
    contrastive: Annotated[float, Field(ge=0)] = 0.0


Loss = Annotated[
    TripletLoss | InBatchLoss | ContrastiveLoss | PointwiseLoss | ListwiseLoss | MarginMseLoss | DistillKlLoss,
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


class OutputsRegularizer(Strict):
    """Adds weight x the squared distance of the batch's vectors from those of the frozen base checkpoint."""

    kind: Literal["outputs"]
    weight: Annotated[float, Field(gt=0)]


Regularizer = Annotated[WeightsRegularizer | ScoresRegularizer | OutputsRegularizer, Field(discriminator="kind")]
