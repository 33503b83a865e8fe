"""The blocks of params.yaml that say what training reads: `pools` and `triplets`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Share, Strict


class Pool(Strict):
    """What `retriever` ranks for the training queries of `corpus`, down to `depth`."""

    retriever: str
    corpus: str
    depth: Positive


class Triplets(Strict):
    """`from` is what negatives are drawn from, a folder of data/: corpora/<name> (uniform), pools/<name> (by rank).

    Each positive gets `negatives_per_query` negatives. With a margin only those passages stay that the pool scores that
    much below the query's own positive: positive - absolute_margin, positive x (1 - relative_margin).
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
