"""What kind of work a stage does, from its name: train for train@full-hard."""

from stages.core import graph

TRAINING = frozenset({"train", "train-reranker", "train-tuned", "tune"})
COMPUTING = TRAINING | {"interpolate", "encode", "rerank", "score"}  # on a GPU where there is one
ENCODING = frozenset({"encode", "rerank"})  # what scale.encoding is about
HEAVY = COMPUTING | {"checkpoint"}  # they load torch


def of(stage: str) -> str:
    """The kind of a stage; interpolations and what was searched are encoded and searched like the others."""
    return graph.plain(stage.partition("@")[0])
