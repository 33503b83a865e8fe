"""The losses a fit can name, all of them sentence-transformers' own, and the columns each of them is fed."""
import re

import pyarrow as pa


def build(model, loss):
    """The loss module that a fit's `loss` block names, on a SentenceTransformer.

    triplet: max(0, d(a, p) - d(a, n) + margin), Schroff et al. 2015. inbatch: cross-entropy over the batch's
    passages, scale x cosine, van den Oord et al. 2018; with `cached` the same loss and gradient by Gao et al. 2021,
    which hold the activations of so many texts at once and compute each text twice. contrastive: Hadsell et al. 2006.
    """
    from sentence_transformers.sentence_transformer import losses as library
    match loss.kind:
        case "triplet":
            metric = {"cosine": library.TripletDistanceMetric.COSINE,
                      "euclidean": library.TripletDistanceMetric.EUCLIDEAN}[loss.distance]
            return library.TripletLoss(model, distance_metric=metric, triplet_margin=loss.margin)
        case "in-batch" if loss.mini_batch:
            return library.CachedMultipleNegativesRankingLoss(model, scale=loss.scale, mini_batch_size=loss.mini_batch)
        case "in-batch":
            return library.MultipleNegativesRankingLoss(model, scale=loss.scale)
        case "contrastive":
            metric = {"cosine": library.SiameseDistanceMetric.COSINE_DISTANCE,
                      "euclidean": library.SiameseDistanceMetric.EUCLIDEAN}[loss.distance]
            return library.ContrastiveLoss(model, distance_metric=metric, margin=loss.margin)


def columns(triplets: pa.Table, loss) -> pa.Table:
    """What the loss is fed: (anchor, positive[, negative]), or for contrastive pairs (anchor, passage, label).

    inbatch with `hard` gets all the triplets' negatives: negative, negative_2 and so on.
    """
    match loss.kind:
        case "contrastive":
            anchors = pa.chunked_array([*triplets["anchor"].chunks] * 2)
            passages = pa.chunked_array([*triplets["positive"].chunks, *triplets["negative"].chunks])
            labels = pa.array([1] * len(triplets) + [0] * len(triplets))
            return pa.table({"anchor": anchors, "passage": passages, "label": labels})
        case "in-batch" if not loss.hard_negatives:
            return triplets.select(["anchor", "positive"])
        case "in-batch":
            negatives = [name for name in triplets.column_names if re.fullmatch(r"negative(_\d+)?", name)]
            return triplets.select(["anchor", "positive", *negatives])
        case _:
            return triplets.select(["anchor", "positive", "negative"])
