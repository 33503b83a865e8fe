"""Triplets as pairs with a label, which the losses contrastive and pointwise are fed."""

import pyarrow as pa


def of_triplets(triplets: pa.Table, query: str, label: pa.DataType) -> pa.Table:
    """(`query`, passage, label), two rows for each triplet: all positives (label 1), then all negatives (label 0)."""
    queries = pa.chunked_array([*triplets["anchor"].chunks] * 2)
    passages = pa.chunked_array([*triplets["positive"].chunks, *triplets["negative"].chunks])
    labels = pa.array([1] * len(triplets) + [0] * len(triplets), label)
    return pa.table({query: queries, "passage": passages, "label": labels})
