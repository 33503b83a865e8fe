"""The blocks of params.yaml that name collections: `corpora`."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from stages.params.fields import Name, Positive, Strict

LOCAL = ("./", "../", "/", "~")  # how a folder on this machine begins, where a hub's name could stand


class JudgedSplit(Strict):
    """A split that is only ever measured; passages are relevant from grade `rel`."""

    subset: str | None = None
    rel: Positive = 1
    drop_self: bool = False
    limit: Positive | None = None


class Configs(Strict):
    """The configurations of a dataset of the hub: `name`, or `name/split` where it has several splits.

    Without a name for qrels it is default, or else qrels; another dataset's are <dataset>@<revision> or a ./folder.
    """

    corpus: str = "corpus"
    queries: str = "queries"
    qrels: str | None = None


class Pairs(Strict):
    """The columns of a dataset of pairs or triplets; with `ids` they hold ids of its corpus and queries, not texts."""

    config: str | None = None
    query: str = "query"
    positive: str = "positive"
    negative: str | list[str] | None = None
    ids: bool = False
    limit: Positive | None = None

    @property
    def negatives(self) -> list[str]:
        """The columns of negatives."""
        return [self.negative] if isinstance(self.negative, str) else list(self.negative or [])


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
    shares_seed: Annotated[int, Field(ge=0)] = 13
    queries: Annotated[tuple[Literal["summary", "returns", "see-also", "listing"], ...], Field(min_length=1)] = (
        "summary",
    )
    configs: Configs | None = None
    pairs: Pairs | None = None
    docpairs: str | None = None
    docpairs_limit: Positive | None = None
    group: Name | None = None
    publish: bool = False

    @field_validator("source")
    @classmethod
    def source_is_known(cls, source: str) -> str:
        kind, _, rest = source.partition(":")
        if kind not in ("docstrings", "beir", "irds", "hf") or not rest:
            raise ValueError(
                "must be docstrings:<packages>, beir:<folder>, irds:<id>, hf:<dataset>@<commit> or hf:./<folder>"
            )
        if kind == "hf" and not rest.startswith(LOCAL) and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?@[\w./-]+", rest):
            raise ValueError("hf: must name a dataset with its revision, <dataset>@<commit>, or a folder, ./<folder>")
        return source

    @property
    def releases_triplets(self) -> bool:
        """Whether docpairs.parquet will hold triplets that the collection brings."""
        return self.docpairs is not None or (self.pairs is not None and bool(self.pairs.negatives))

    @model_validator(mode="after")
    def pairs_are_trained_on(self) -> "Corpus":
        if self.pairs and not self.source.startswith("hf:"):
            raise ValueError("pairs: are columns of a dataset of the hub (hf:<dataset>@<revision> or hf:./<folder>)")
        if self.pairs and self.train is None:
            raise ValueError("pairs: are trained on; name their split, as in train: train")
        if self.pairs and self.judged and not self.pairs.ids:
            raise ValueError("pairs: of texts have no judgments; say judged: {} and measure on another corpus")
        return self

    @model_validator(mode="after")
    def splits_agree(self) -> "Corpus":
        if not self.judged and self.train is None:
            raise ValueError("has neither a train split nor judged ones: name one of them")
        for split, judged in self.judged.items():
            if split in ("train", "validation"):
                raise ValueError(f"'{split}' is the name of a training split and cannot be judged; rename the split")
            origin = split if judged.subset is None else judged.subset
            if origin == self.train and self.train not in self.cuts:
                raise ValueError(f"train queries among the judged: '{self.train}' is both train and judged.{split}")
        if self.validation and self.train is None:
            raise ValueError("validation queries are cut from train: name a train split, or set validation to 0")
        if self.source.startswith("docstrings:") and not self.shares:
            raise ValueError("a docstrings source needs shares, the per cent of the queries in each split")
        if self.shares and sum(self.shares.values()) != 100:
            raise ValueError("shares must add up to 100 per cent")
        return self

    @property
    def cuts(self) -> dict[str, list[str]]:
        """The splits of the source that `shares` cut -> the splits here that come from each: those that several name.

        A docstrings source has no splits of its own, and where no two splits come from one, shares are not looked at.
        """
        if not self.shares or self.source.startswith("docstrings:"):
            return {}
        origins = {"train": self.train} if self.train is not None else {}
        origins |= {split: split if rules.subset is None else rules.subset for split, rules in self.judged.items()}
        parts: dict[str, list[str]] = {}
        for split, origin in origins.items():
            parts.setdefault(origin, []).append(split)
        return {origin: splits for origin, splits in parts.items() if len(splits) > 1}

    @model_validator(mode="after")
    def parts_have_shares(self) -> "Corpus":
        for origin, splits in self.cuts.items():
            for split in splits:
                if split not in (self.shares or {}):
                    raise ValueError(f"shares: {' and '.join(splits)} come from '{origin}', so '{split}' needs a share")
        return self
