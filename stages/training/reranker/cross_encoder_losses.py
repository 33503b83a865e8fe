"""The losses a cross-encoder's fit can name, all of them sentence-transformers' own, and the columns each is fed."""
import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError


def build(model, loss):
    """The loss module that a fit's `loss` block names, on a CrossEncoder of one label.

    pairs: binary cross-entropy of sigmoid(logit). lists: cross-entropy between the softmax of a query's logits and
    that of its labels, ListNet's top-one form, Cao et al. 2007. margins: squared error of the positive's logit less the
    negative's against the label, MarginMSE, Hofstaetter et al. 2020.
    """
    from sentence_transformers.cross_encoder import losses as library
    return {"pairs": library.BinaryCrossEntropyLoss, "lists": library.ListNetLoss,
            "margins": library.MarginMSELoss}[loss.kind](model)


def columns(triplets: pa.Table, loss) -> pa.Table:
    """What the loss is fed.

    pairs: (query, passage, label), two rows a triplet, all positives first. lists: (query, passages, labels), one row
    a query, in the order of its first triplet; each passage once, a positive never as a negative. margins: (query,
    positive, negative, label), a triplet a row, its label `scale` x (positive_score - negative_score); without triplets
    whose positive the pool did not score. Raises UserError for triplets that no pool scored.
    """
    if loss.kind == "margins":
        return _margins(triplets, loss.scale)
    if loss.kind == "pairs":
        queries = pa.chunked_array([*triplets["anchor"].chunks] * 2)
        passages = pa.chunked_array([*triplets["positive"].chunks, *triplets["negative"].chunks])
        return pa.table({"query": queries, "passage": passages,
                         "label": pa.array([1.0] * len(triplets) + [0.0] * len(triplets))})
    lists: dict[str, dict[str, float]] = {}
    for row in triplets.select(["anchor", "positive", "negative"]).to_pylist():
        known = lists.setdefault(row["anchor"], {})
        known[row["positive"]] = 1.0
        known.setdefault(row["negative"], 0.0)
    return pa.table({"query": list(lists), "passages": [list(known) for known in lists.values()],
                     "labels": [list(known.values()) for known in lists.values()]})


def _margins(triplets: pa.Table, scale: float) -> pa.Table:
    if missing := {"positive_score", "negative_score"} - set(triplets.column_names):
        raise UserError(f"the loss margins needs triplets with a pool's scores, and these have no {min(missing)}; draw "
                      f"their negatives from pools/<name>")
    lead = pc.subtract(*(triplets[name].cast(pa.float64()) for name in ("positive_score", "negative_score")))
    scored = pc.fill_null(pc.is_finite(lead), False)
    return pa.table({"query": triplets["anchor"], "positive": triplets["positive"], "negative": triplets["negative"],
                     "label": pc.multiply(lead, scale)}).filter(scored)


def pairs(table: pa.Table) -> int:
    """How many pairs of query and passage a table of `columns` holds."""
    if "passages" in table.column_names:
        return sum(map(len, table["passages"].to_pylist()))
    return len(table) * (2 if "negative" in table.column_names else 1)
