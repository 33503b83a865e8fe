"""The blocks of params.yaml that say what training reads: `pools`, `triplets`, `scored` and `mixes`."""

import math
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from stages.params.fields import Positive, Share, Strict

FILES = (".parquet", ".tsv")  # that a teacher's scores are read from


class Pool(Strict):
    """What `retriever` ranks for the training queries of `corpus`, down to `depth`."""

    retriever: str
    corpus: str
    depth: Positive


class Triplets(Strict):
    """`from` is what negatives are drawn from, a folder of data/: corpora/<name> (uniform), pools/<name> (by rank).

    Each positive gets `negatives_per_query` negatives. With a margin only those passages stay that the pool scores that
    much below the query's own positive: positive - absolute_margin, positive x (1 - relative_margin). A `share` below
    1 takes that share of `size`, from that share of the training queries.
    """

    corpus: str
    negatives: Annotated[str, Field(alias="from", pattern=r"^(corpora|pools)/[A-Za-z0-9_.-]+(/docpairs\.parquet)?$")]
    size: Annotated[int, Field(ge=0)]
    ranks: tuple[Positive, Positive] | None = None
    sampling: Literal["uniform", "one-rank"] = "uniform"
    negatives_per_query: Positive = 1
    absolute_margin: Annotated[float, Field(ge=0)] | None = None
    relative_margin: Share | None = None
    allow_judged: bool = False
    share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @property
    def count(self) -> int:
        """How many triplets are drawn."""
        return round(self.share * self.size)

    @property
    def has_margin(self) -> bool:
        return self.absolute_margin is not None or self.relative_margin is not None

    @model_validator(mode="after")
    def ranks_fit_source(self) -> "Triplets":
        if self.negatives.startswith("pools/") != (self.ranks is not None):
            raise ValueError("ranks: [first, last] belongs to negatives from a pool, and only to them")
        if self.ranks and self.ranks[0] > self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)} end before they begin")
        if self.sampling == "one-rank" and not self.ranks:
            raise ValueError("sampling: one-rank needs negatives from a pool")
        if self.sampling == "one-rank" and self.negatives_per_query > 1:
            raise ValueError("sampling: one-rank gives one negative; negatives_per_query must be 1")
        if self.has_margin and not self.ranks:
            raise ValueError("absolute_margin and relative_margin compare a pool's scores; draw negatives from a pool")
        return self


class Scored(Strict):
    """The triplets of another block with a teacher's scores of every positive and negative.

    `teacher` is the path of what scores: data/models/<reranker>, data/checkpoints/<name> of a cross-encoder or of late
    interaction, or a file of scores outside of data/, parquet or tsv with the columns query_id, doc_id and score.
    """

    triplets: str
    teacher: str

    @field_validator("teacher")
    @classmethod
    def teacher_is_a_folder_or_a_file(cls, teacher: str) -> str:
        in_data = re.fullmatch(r"data/(models|checkpoints)/[A-Za-z0-9_-]+", teacher)
        is_file = not teacher.startswith("data/") and teacher.endswith(FILES)
        if not (in_data or is_file):
            raise ValueError(
                "must be data/models/<reranker>, data/checkpoints/<name>, or a file of scores outside of data/, "
                f"{' or '.join(FILES)}"
            )
        return teacher

    @property
    def teacher_kind(self) -> Literal["models", "checkpoints", "file"]:
        if not self.teacher.startswith("data/"):
            return "file"
        return "models" if self.teacher.startswith("data/models/") else "checkpoints"

    @property
    def teacher_name(self) -> str:
        """The name of the reranker or checkpoint; of a file its path."""
        return self.teacher if self.teacher_kind == "file" else self.teacher.rpartition("/")[2]


class Mix(Strict):
    """`size` triplets of two other blocks, the `share` of them from the `first`; its validation sample is the first's.

    A part may be a mix itself.
    """

    first: str
    second: str
    share: Annotated[float, Field(gt=0, lt=1)]
    size: Positive

    @property
    def rows(self) -> tuple[int, int]:
        """How many triplets each part gives: the whole numbers nearest to the shares (of a half, the first's up)."""
        first = math.floor(self.size * self.share + 0.5)
        return first, self.size - first

    @model_validator(mode="after")
    def parts_differ(self) -> "Mix":
        if self.first == self.second:
            raise ValueError(f"first and second are both '{self.first}'")
        return self
