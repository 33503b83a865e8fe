"""params.yaml as typed, strictly checked values: every name and every number of the study.

Reading it anywhere validates all of it, so that a typo stops the first stage and not the tenth.
"""
from pathlib import Path
from typing import Annotated, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stages.lib import consistency
from stages.lib.consistency import CROSS_LOSSES, ENCODERS
from stages.lib.mistakes import Mistake

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["float32", "bfloat16", "float16"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Judged(Strict):
    subset: str | None = None
    rel: Positive = 1
    drop_self: bool = False
    limit: Positive | None = None


class Corpus(Strict):
    source: str
    train: str | None = None
    validation: Annotated[int, Field(ge=0)] = 0
    judged: dict[Name, Judged]
    tokens: Positive | None = None
    shares: dict[Name, Positive] | None = None
    docpairs: str | None = None
    docpairs_limit: Positive | None = None
    group: Name | None = None
    publish: bool = False

    @field_validator("source")
    @classmethod
    def known_source(cls, source: str) -> str:
        kind, _, rest = source.partition(":")
        if kind not in ("docstrings", "beir", "irds") or not rest:
            raise ValueError("must be docstrings:<packages>, beir:<folder> or irds:<dataset id>")
        return source

    @model_validator(mode="after")
    def splits_make_sense(self):
        for split in self.judged:
            if split in ("train", "validation"):
                raise ValueError(f"'{split}' cannot be judged: it is the name of a split that teaches; rename it")
            if self.train and (self.judged[split].subset or split) == self.train:
                raise ValueError(f"train queries among the judged: '{self.train}' is train and judged.{split}")
        if self.validation and not self.train:
            raise ValueError("validation is cut from train: name a train split or set validation to 0")
        if self.source.startswith("docstrings:") and not self.shares:
            raise ValueError("a docstrings source needs shares, the per cent of each split")
        if self.shares and sum(self.shares.values()) != 100:
            raise ValueError("shares must add up to 100 per cent")
        return self


class Checkpoint(Strict):
    """`pooling` is for weights that bring none of their own; `random` keeps the architecture and draws the weights."""
    shape: Literal["lexical", "symmetric", "asymmetric", "late", "cross", "run"]
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
    def fields_fit_shape(self):
        kind, _, rest = self.source.partition(":")
        if self.shape == "lexical":
            if self.source != "bm25s" or self.k1 is None or self.b is None:
                raise ValueError("a lexical checkpoint says source: bm25s, k1 and b")
        elif self.shape == "run":
            if kind != "trec" or not rest or not self.corpus or not self.split:
                raise ValueError("a published run says source: trec:<file>, corpus and split")
        else:
            if kind not in ("hub", "package", "folder") or not rest:
                raise ValueError("source must be hub:<id>@<revision>, package:<distribution> or folder:<path>")
            if kind == "hub" and "@" not in rest:
                raise ValueError("a hub source pins its revision: hub:<id>@<commit>")
        if self.remote_code and self.shape != "cross":
            raise ValueError("remote_code is for shape cross; retrievers never run code from the hub")
        if self.pooling and self.shape not in ENCODERS:
            raise ValueError(f"pooling is for shapes {' and '.join(ENCODERS)}")
        if (self.dimension or self.query_tokens) and self.shape != "late":
            raise ValueError("dimension and query_tokens are for shape late")
        if self.random and self.shape in ("lexical", "run"):
            raise ValueError(f"shape {self.shape} has no weights to draw")
        return self


class Pool(Strict):
    retriever: str
    corpus: str
    depth: Positive


class Triplets(Strict):
    """`from` is what negatives are drawn from, a folder of data/: corpora/<name> (uniform), pools/<name> (by rank).

    `each` negatives go with one positive. With a margin only passages stay that the pool scores that much below the
    query's own positive: positive - absolute_margin, positive x (1 - relative_margin).
    """
    corpus: str
    negatives: Annotated[str, Field(alias="from", pattern=r"^(corpora|pools)/[A-Za-z0-9_.-]+(/docpairs\.parquet)?$")]
    size: Annotated[int, Field(ge=0)]
    ranks: tuple[Positive, Positive] | None = None
    draw: Literal["uniform", "one-rank"] = "uniform"
    each: Positive = 1
    absolute_margin: Annotated[float, Field(ge=0)] | None = None
    relative_margin: Share | None = None
    allow_judged: bool = False

    @model_validator(mode="after")
    def ranks_fit_source(self):
        if self.negatives.startswith("pools/") != (self.ranks is not None):
            raise ValueError("ranks: [first, last] belongs to negatives from a pool, and only to them")
        if self.ranks and self.ranks[0] > self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)} end before they begin")
        if self.draw == "one-rank" and not self.ranks:
            raise ValueError("draw: one-rank needs negatives from a pool")
        if self.draw == "one-rank" and self.each > 1:
            raise ValueError("draw: one-rank gives one negative; each must be 1")
        if (self.absolute_margin is not None or self.relative_margin is not None) and not self.ranks:
            raise ValueError("absolute_margin and relative_margin compare a pool's scores: they need negatives from a pool")
        return self


class Untouched(Strict):
    kind: Literal["none"]


class Moving(Strict):
    """The rate, and the optimizer that applies it: its name, and its betas where they are not the name's own."""
    lr: Annotated[float, Field(gt=0, lt=1)]
    optimizer: Literal["adamw", "lion"] = "adamw"
    betas: tuple[Share, Share] | None = None


class Full(Moving):
    kind: Literal["full"]


class Lora(Moving):
    kind: Literal["lora"]
    rank: Positive
    alpha: Positive
    modules: Annotated[list[str], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rslora: bool = False
    dora: bool = False


class Ia3(Moving):
    """Vectors that scale the outputs of `modules` and, of those also named in `feedforward`, the inputs."""
    kind: Literal["ia3"]
    modules: Annotated[list[str], Field(min_length=1)]
    feedforward: list[str] = []


class Frozen(Moving):
    """Every weight but the embeddings and the first `layers` layers."""
    kind: Literal["frozen"]
    layers: Annotated[int, Field(ge=0)]


Tune = Annotated[Union[Untouched, Full, Lora, Ia3, Frozen], Field(discriminator="kind")]
KINDS = ("none", "full", "lora", "ia3", "frozen")
ADAPTERS = ("lora", "ia3")


class TripletLoss(Strict):
    kind: Literal["triplet"]
    distance: Literal["cosine", "euclidean"]
    margin: Annotated[float, Field(gt=0)]


class InBatchLoss(Strict):
    """`hard` adds the triplets' negatives to the batch's; `cached` is the part of a batch held in memory at once."""
    kind: Literal["inbatch"]
    scale: Annotated[float, Field(gt=0)]
    hard: bool
    cached: Positive | None = None


class ContrastiveLoss(Strict):
    kind: Literal["contrastive"]
    distance: Literal["cosine", "euclidean"]
    margin: Annotated[float, Field(gt=0)]


class PairLoss(Strict):
    """Binary cross-entropy on query-passage pairs, for cross-encoders."""
    kind: Literal["pairs"]


class ListLoss(Strict):
    """Softmax cross-entropy over a query's passages (ListNet), for cross-encoders."""
    kind: Literal["lists"]


class MarginLoss(Strict):
    """Squared error of the positive's lead over the negative against `scale` times the pool's, for cross-encoders."""
    kind: Literal["margins"]
    scale: Annotated[float, Field(gt=0)] = 1.0


Loss = Annotated[Union[TripletLoss, InBatchLoss, ContrastiveLoss, PairLoss, ListLoss, MarginLoss],
                 Field(discriminator="kind")]


class KeepWeights(Strict):
    """Added to the loss: weight x the squared distance of the trained weights from where they started."""
    kind: Literal["weights"]
    weight: Annotated[float, Field(gt=0)]


class KeepScores(Strict):
    """Added to the loss: weight x the divergence of the batch's similarities from those of the frozen start."""
    kind: Literal["scores"]
    weight: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)] = 20.0


Keep = Annotated[Union[KeepWeights, KeepScores], Field(discriminator="kind")]


class Fit(Strict):
    """`select: best` keeps the weights that ranked validation best; `patience` looks without a better one end it."""
    loss: Loss
    normalize: bool = True
    batch: Positive
    epochs: Positive
    stop: Positive | None = None
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Annotated[float, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Annotated[float, Field(gt=0)]
    precision: Precision = "float32"
    keep: Keep | None = None
    select: Literal["last", "best"] = "last"
    patience: Positive | None = None

    @model_validator(mode="after")
    def parts_agree(self):
        if self.stop and self.stop > self.epochs:
            raise ValueError(f"stop {self.stop} is after the last of {self.epochs} epochs")
        if self.patience and self.select != "best":
            raise ValueError("patience waits for a better model: it needs select: best")
        if self.loss.kind in CROSS_LOSSES and (self.keep or self.select == "best"):
            raise ValueError(f"keep and select: best are for retrievers' losses, not for {self.loss.kind}")
        return self

    @property
    def diameter(self) -> float | None:
        """The largest distance that two vectors of this fit can have; None where there is no bound."""
        return 2.0 if self.loss.distance == "cosine" or self.normalize else None


class Retriever(Strict):
    start: str
    tune: str
    triplets: str
    fit: str


class Reranker(Retriever):
    """A cross-encoder, or late interaction, over what another row ranks `first`."""
    first: str


class Interpolation(Strict):
    """The weights between `start` and row `of`, which was trained from it: start + alpha x (of - start).

    The alpha of `alphas` that ranks the validation sample of `triplets` best is taken, among equals the smallest.
    """
    start: str
    of: str
    triplets: str
    alphas: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]


class Rerank(Strict):
    depth: Positive
    queries: Positive | None = None
    batch_tokens: Positive
    precision: Precision
    seed: int


class Index(Strict):
    precision: Precision
    dtype: Literal["float32", "float16"]
    batch_tokens: Positive
    block: Positive


class Search(Strict):
    depth: Positive
    block: Positive


class Primary(Strict):
    corpus: str
    split: str
    measure: str


class Report(Strict):
    base: str
    primary: Primary
    outside: Primary | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    margin: Annotated[float, Field(gt=0)]
    resamples: Annotated[int, Field(ge=1000)]
    shown: Positive
    pairs: list[tuple[str, str]] = []


class Gate(Strict):
    tolerance: Annotated[float, Field(ge=0)]


class Diagnose(Strict):
    passages: Annotated[int, Field(ge=20)]
    neighbours: Positive
    norms: Positive
    seed: int


class Curve(Strict):
    queries: Positive
    passages: Positive
    every: Positive
    early: list[Positive]


class Umap(Strict):
    corpus: str
    split: str
    pairs: Annotated[int, Field(ge=5)]
    n_neighbors: Annotated[int, Field(ge=2)]
    min_dist: Annotated[float, Field(ge=0, le=1)]
    metric: Literal["cosine", "euclidean"]
    seed: int


class Study(Strict):
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    corpora: Annotated[dict[Name, Corpus], Field(min_length=1)]
    checkpoints: dict[Name, Checkpoint]
    pools: dict[Name, Pool]
    triplets: dict[Name, Triplets]
    tunes: dict[Name, Tune]
    fits: dict[Name, Fit | None]
    retrievers: dict[Name, Retriever]
    interpolations: dict[Name, Interpolation]
    rerankers: dict[Name, Reranker]
    index: Index
    search: Search
    rerank: Rerank
    measures: Annotated[list[str], Field(min_length=1)]
    report: Report
    gate: Gate
    diagnose: Diagnose
    curve: Curve
    umap: Umap

    @model_validator(mode="after")
    def names_exist(self):
        for problem in consistency.broken(self):
            raise ValueError(problem)
        return self

    @property
    def encoders(self) -> dict[str, Retriever | Interpolation]:
        """The rows that search for themselves: retrievers, then interpolations."""
        return {**self.retrievers, **self.interpolations}

    @property
    def rows(self) -> dict[str, Retriever | Interpolation]:
        """All that ends in runs: retrievers, interpolations, rerankers."""
        return {**self.encoders, **self.rerankers}

    def taught_on(self, row: str) -> str | None:
        """The corpus that a row's training queries come from; None for a row without a lesson.

        A reranker without a lesson has been taught what its first stage was, if that was taught.
        """
        block = self.triplets[self.rows[row].triplets]
        if block.size or row in self.interpolations:
            return block.corpus
        return self.taught_on(self.rerankers[row].first) if row in self.rerankers else None

    def warnings(self) -> list[str]:
        """Legal but telling settings, one sentence each; the report repeats them."""
        told = []
        for name, fit in self.fits.items():
            if fit and fit.loss.kind == "triplet" and fit.diameter and fit.loss.margin >= fit.diameter:
                told.append(f"fits.{name}.loss.margin {fit.loss.margin:g} is not below {fit.diameter:g}, the largest "
                            f"{fit.loss.distance} distance between its vectors: no triplet is ever satisfied")
        return told


def load(path: Path = Path("params.yaml")) -> Study:
    """Read and check a whole params file; Mistake names the first wrong parameter in one line.

    It is read with ruamel.yaml, which is what DVC writes with: PyYAML would take the 1e-05 of an -S for a string.
    """
    from ruamel.yaml import YAML, YAMLError
    if not path.is_file():
        raise Mistake(f"{path}: there is no such file here; run from the repository's root")
    try:
        blocks = YAML(typ="safe").load(path.read_text())
        if not isinstance(blocks, dict):
            raise Mistake(f"{path}: holds no blocks; restore it with git checkout {path}")
        return parse(blocks)
    except YAMLError as error:
        raise Mistake(f"{path}: not valid YAML: {' '.join(str(error).split())}")
    except ValidationError as error:
        raise Mistake(f"{path}: {_first_problem(error)}")


def parse(blocks: dict) -> Study:
    """Build a Study from the blocks of a params file: top-level blocks that have no fixed meaning are tune kinds."""
    known = set(Study.model_fields) - {"tunes"}
    tunes = {name: block for name, block in blocks.items() if name not in known}
    fits = {name: fit or None for name, fit in (blocks.get("fits") or {}).items()}
    return Study.model_validate({**{k: v for k, v in blocks.items() if k in known}, "tunes": tunes, "fits": fits})


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    tags = {*KINDS, "triplet", "inbatch", "contrastive", "weights", "scores", *CROSS_LOSSES}
    place = [str(part) for part in problem["loc"]]
    if place[:1] == ["tunes"]:
        place = place[1:]
        if problem["type"].startswith("union_tag") or len(place) == 1:
            known = sorted(set(Study.model_fields) - {"tunes"})
            return (f"{place[0]}: neither a block of the study ({', '.join(known)}) nor a tune block "
                    f"(kind: {', '.join(KINDS)})")
    place = [part for index, part in enumerate(place) if not (index and part in tags and place[index - 1] in
             ("loss", "keep", *place[:1]))]
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "no such parameter"
    elif problem["type"] == "missing" and len(place) == 1:
        message = "this block is missing; where it has nothing to name, write {}"
    elif problem["type"] not in ("value_error", "missing"):
        message = f"{message[0].lower()}{message[1:]}, got {problem['input']!r}"
    where = ".".join(place)
    return f"{where}: {message}" if where else message
