"""The blocks of params.yaml that name base checkpoints: `checkpoints`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Strict

SEARCHING = ("symmetric", "asymmetric")  # architectures that search a collection by one vector a text
RERANKING = ("cross-encoder", "late-interaction")  # architectures that rerank what another variant retrieves


class Checkpoint(Strict):
    """`pooling` is for weights that bring none of their own; `random` keeps the architecture and draws new weights."""

    architecture: Literal["lexical", "symmetric", "asymmetric", "late-interaction", "cross-encoder", "published-run"]
    source: str
    remote_code: bool = False
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    tokens: Positive = 256
    pooling: Literal["mean", "cls"] | None = None
    random: bool = False
    dimension: Positive | None = None
    query_tokens: Positive | None = None
    k1: Annotated[float, Field(ge=0)] | None = None
    b: Annotated[float, Field(ge=0, le=1)] | None = None
    corpus: str | None = None
    split: str | None = None

    @model_validator(mode="after")
    def source_fits_architecture(self) -> "Checkpoint":
        kind, _, rest = self.source.partition(":")
        if self.architecture == "lexical":
            if self.source != "bm25s" or self.k1 is None or self.b is None:
                raise ValueError("a lexical checkpoint says source: bm25s, k1 and b")
        elif self.architecture == "published-run":
            if kind != "trec" or not rest or not self.corpus or not self.split:
                raise ValueError("a published run says source: trec:<file>, corpus and split")
        else:
            if kind not in ("hub", "package", "folder") or not rest:
                raise ValueError("source must be hub:<id>@<revision>, package:<distribution> or folder:<path>")
            if kind == "hub" and "@" not in rest:
                raise ValueError("a hub source pins its revision: hub:<id>@<commit>")
        return self

    @model_validator(mode="after")
    def options_fit_architecture(self) -> "Checkpoint":
        if self.remote_code and self.architecture != "cross-encoder":
            raise ValueError("remote_code is for architecture cross-encoder; retrievers never run code from the hub")
        if self.pooling and self.architecture not in SEARCHING:
            raise ValueError(f"pooling is for architectures {' and '.join(SEARCHING)}")
        if (self.dimension or self.query_tokens) and self.architecture != "late-interaction":
            raise ValueError("dimension and query_tokens are for architecture late-interaction")
        if self.random and self.architecture in ("lexical", "published-run"):
            raise ValueError(f"architecture {self.architecture} has no weights to draw")
        return self
