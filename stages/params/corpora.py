"""The blocks of params.yaml that name collections: `corpora`."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from stages.params.fields import Name, Positive, Strict


class JudgedSplit(Strict):
    """A split that is only ever measured; passages are relevant from grade `rel`."""

    subset: str | None = None
    rel: Positive = 1
    drop_self: bool = False
    limit: Positive | None = None


class Corpus(Strict):
    source: str
    train: str | None = None
    validation: Annotated[int, Field(ge=0)] = 0
    judged: dict[Name, JudgedSplit]
    tokens: Positive | None = None
    query_tokens: Positive | None = None
    passage_tokens: Positive | None = None
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    shares: dict[Name, Positive] | None = None
    docpairs: str | None = None
    docpairs_limit: Positive | None = None
    group: Name | None = None
    publish: bool = False

    @field_validator("source")
    @classmethod
    def source_is_known(cls, source: str) -> str:
        kind, _, rest = source.partition(":")
        if kind not in ("docstrings", "beir", "irds") or not rest:
            raise ValueError("must be docstrings:<packages>, beir:<folder> or irds:<dataset id>")
        return source

    @model_validator(mode="after")
    def splits_agree(self) -> "Corpus":
        for split, judged in self.judged.items():
            if split in ("train", "validation"):
                raise ValueError(f"'{split}' is the name of a training split and cannot be judged; rename the split")
            if self.train and (judged.subset or split) == self.train:
                raise ValueError(f"train queries among the judged: '{self.train}' is both train and judged.{split}")
        if self.validation and not self.train:
            raise ValueError("validation queries are cut from train: name a train split, or set validation to 0")
        if self.source.startswith("docstrings:") and not self.shares:
            raise ValueError("a docstrings source needs shares, the per cent of the queries in each split")
        if self.shares and sum(self.shares.values()) != 100:
            raise ValueError("shares must add up to 100 per cent")
        return self
