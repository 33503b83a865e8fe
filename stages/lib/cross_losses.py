"""The losses a reranker's fit can name, both of them sentence-transformers' own, and the columns each is fed."""
import pyarrow as pa


def build(model, loss):
    """The loss module that a fit's `loss` block names, on a CrossEncoder of one label.

    pairs: binary cross-entropy of sigmoid(logit). lists: cross-entropy between the softmax of a query's logits and
    that of its labels, ListNet's top-one form, Cao et al. 2007.
    """
    from sentence_transformers.cross_encoder import losses as library
    return {"pairs": library.BinaryCrossEntropyLoss, "lists": library.ListNetLoss}[loss.kind](model)


def columns(triplets: pa.Table, loss) -> pa.Table:
    """What the loss is fed.

    pairs: (query, passage, label), two rows a triplet, all positives first. lists: (query, passages, labels), one row
    a query, in the order of its first triplet; each passage once, a positive never as a negative.
    """
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


def pairs(table: pa.Table) -> int:
    """How many pairs of query and passage a table of `columns` holds."""
    return sum(map(len, table["passages"].to_pylist())) if "passages" in table.column_names else len(table)
