"""The losses a fit can name, all of them sentence-transformers' own, and the columns each of them is fed."""
import pyarrow as pa


def build(model, loss):
    """The loss module that a fit's `loss` block names, on a SentenceTransformer.

    triplet: max(0, d(a, p) - d(a, n) + margin), Schroff et al. 2015. inbatch: cross-entropy over the batch's
    positives, scale x cosine, van den Oord et al. 2018. contrastive: Hadsell et al. 2006.
    """
    from sentence_transformers.sentence_transformer import losses as library
    match loss.kind:
        case "triplet":
            metric = {"cosine": library.TripletDistanceMetric.COSINE,
                      "euclidean": library.TripletDistanceMetric.EUCLIDEAN}[loss.distance]
            return library.TripletLoss(model, distance_metric=metric, triplet_margin=loss.margin)
        case "inbatch":
            return library.MultipleNegativesRankingLoss(model, scale=loss.scale)
        case "contrastive":
            metric = {"cosine": library.SiameseDistanceMetric.COSINE_DISTANCE,
                      "euclidean": library.SiameseDistanceMetric.EUCLIDEAN}[loss.distance]
            return library.ContrastiveLoss(model, distance_metric=metric, margin=loss.margin)


def columns(triplets: pa.Table, loss) -> pa.Table:
    """What the loss is fed: (anchor, positive[, negative]), or for contrastive pairs (anchor, passage, label)."""
    match loss.kind:
        case "contrastive":
            anchors = pa.chunked_array([*triplets["anchor"].chunks] * 2)
            passages = pa.chunked_array([*triplets["positive"].chunks, *triplets["negative"].chunks])
            labels = pa.array([1] * len(triplets) + [0] * len(triplets))
            return pa.table({"anchor": anchors, "passage": passages, "label": labels})
        case "inbatch" if not loss.hard:
            return triplets.select(["anchor", "positive"])
        case _:
            return triplets.select(["anchor", "positive", "negative"])
