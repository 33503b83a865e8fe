"""The blocks of params.yaml that name base checkpoints: `checkpoints`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Strict

SEARCHING = ("symmetric", "asymmetric")  # architectures that search a collection by one vector a text
RERANKING = ("cross-encoder", "late-interaction")  # architectures that rerank what another variant retrieves
COMMIT = re.compile("@[0-9a-f]{40}$")
WITHOUT_WEIGHTS = ("lexical", "published-run")
UNFIT = {  # keys that an architecture does not take from `base`
    "cross-encoder": ("query_tokens", "passage_tokens", "prompts", "similarity"),
    "late-interaction": ("similarity",),
}
WEIGHTS_ONLY = (
    "adapter_base",
    "remote_code",
    "code",
    "sha256",
    "tokens",
    "query_tokens",
    "passage_tokens",
    "prompts",
    "random",
    "layers",
)


class Prompts(Strict):
    """What is put before a query and before a passage, in the place of what the model ships; "" for nothing."""

    query: str | None = None
    passage: str | None = None


class Start(Strict):
    """Where a model comes from and how it reads texts: what `base` says for all checkpoints that name no source.

    `tokens`, `query_tokens` and `passage_tokens` cut texts; without them the model's own limits hold, as do its prompts
    and its similarity. `layers` keeps so many of the transformer's first layers. `adapter_base` is for a repository
    that holds an adapter and does not pin what it adapts, `code` for one whose own code lies in another repository.
    """

    source: str
    adapter_base: str | None = None
    remote_code: bool = False
    code: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    tokens: Positive | None = None
    query_tokens: Positive | None = None
    passage_tokens: Positive | None = None
    prompts: Prompts | None = None
    similarity: Literal["cosine", "dot"] | None = None
    layers: Positive | None = None

    @model_validator(mode="after")
    def weights_are_pinned(self) -> "Start":
        named = {name: value for name in ("adapter_base", "code") if (value := getattr(self, name))}
        if getattr(self, "architecture", None) not in WITHOUT_WEIGHTS:
            named["source"] = self.source
        for name, source in named.items():
            kind, _, rest = source.partition(":")
            if kind not in ("hub", "package", "folder") or not rest:
                raise ValueError(f"{name} must be hub:<id>@<revision>, package:<distribution> or folder:<path>")
            if kind == "hub" and "@" not in rest:
                raise ValueError(f"{name}: a hub source pins its revision: hub:<id>@<commit>")
            if self.remote_code and kind == "hub" and not COMMIT.search(rest):
                raise ValueError(f"{name}: code runs only at a pinned commit: hub:<id>@<40 hexadecimal digits>")
        if self.code and not self.remote_code:
            raise ValueError("code: it runs only with remote_code: true")
        return self


class Checkpoint(Start):
    """`pooling` is for weights that bring none of their own; `random` keeps the architecture and draws new weights."""

    architecture: Literal["lexical", "symmetric", "asymmetric", "late-interaction", "cross-encoder", "published-run"]
    pooling: Literal["mean", "cls", "max", "lasttoken", "weightedmean"] | None = None
    random: bool = False
    dimension: Positive | None = None
    k1: Annotated[float, Field(ge=0)] | None = None
    b: Annotated[float, Field(ge=0, le=1)] | None = None
    corpus: str | None = None
    split: str | None = None

    @model_validator(mode="after")
    def source_fits_architecture(self) -> "Checkpoint":
        kind, _, rest = self.source.partition(":")
        if self.architecture == "lexical" and (self.source != "bm25s" or self.k1 is None or self.b is None):
            raise ValueError("a lexical checkpoint says source: bm25s, k1 and b")
        if self.architecture == "published-run" and (kind != "trec" or not rest or not self.corpus or not self.split):
            raise ValueError("a published run says source: trec:<file>, corpus and split")
        return self

    @model_validator(mode="after")
    def options_fit_architecture(self) -> "Checkpoint":
        if self.pooling and self.architecture not in SEARCHING:
            raise ValueError(f"pooling is for architectures {' and '.join(SEARCHING)}")
        if self.similarity and self.architecture not in SEARCHING:
            raise ValueError(f"similarity is for architectures {' and '.join(SEARCHING)}")
        if self.dimension and self.architecture != "late-interaction":
            raise ValueError("dimension is for architecture late-interaction")
        if self.architecture == "cross-encoder" and (self.query_tokens or self.passage_tokens):
            raise ValueError("query_tokens, passage_tokens: a cross-encoder reads both at once; tokens cuts the pair")
        if self.architecture == "cross-encoder" and self.prompts and self.prompts.passage is not None:
            raise ValueError("prompts: a cross-encoder has one, which comes before the query; leave out passage")
        if self.architecture in WITHOUT_WEIGHTS:
            for name in WEIGHTS_ONLY:
                if getattr(self, name):
                    raise ValueError(f"{name}: architecture {self.architecture} has no weights")
        return self


def with_base(checkpoint: Any, base: Mapping[str, Any] | None) -> Any:
    """The block of a checkpoint in params.yaml; one that names no source takes what it does not say from `base`.

    It takes nothing that its architecture does not have.
    """
    if not isinstance(checkpoint, dict) or "source" in checkpoint or not isinstance(base, dict):
        return checkpoint
    unfit = UNFIT.get(checkpoint.get("architecture", ""), ())
    return {**{key: value for key, value in base.items() if key not in unfit}, **checkpoint}
