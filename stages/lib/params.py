"""params.yaml as typed, strictly checked values: every name and every number of the study.

Reading it anywhere validates all of it, so that a typo stops the first stage and not the tenth.
"""
from pathlib import Path
from typing import Annotated, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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
    shape: Literal["lexical", "symmetric", "cross", "run"]
    source: str
    remote_code: bool = False
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    tokens: Positive = 256
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
        return self


class Pool(Strict):
    retriever: str
    corpus: str
    depth: Positive


class Triplets(Strict):
    """`from` is what negatives are drawn from, a folder of data/: corpora/<name> (uniform), pools/<name> (by rank)."""
    corpus: str
    negatives: Annotated[str, Field(alias="from", pattern=r"^(corpora|pools)/[A-Za-z0-9_.-]+(/docpairs\.parquet)?$")]
    size: Annotated[int, Field(ge=0)]
    ranks: tuple[Positive, Positive] | None = None
    draw: Literal["uniform", "one-rank"] = "uniform"
    allow_judged: bool = False

    @model_validator(mode="after")
    def ranks_fit_source(self):
        if self.negatives.startswith("pools/") != (self.ranks is not None):
            raise ValueError("ranks: [first, last] belongs to negatives from a pool, and only to them")
        if self.ranks and self.ranks[0] > self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)} end before they begin")
        if self.draw == "one-rank" and not self.ranks:
            raise ValueError("draw: one-rank needs negatives from a pool")
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


Tune = Annotated[Union[Untouched, Full, Lora], Field(discriminator="kind")]


class TripletLoss(Strict):
    kind: Literal["triplet"]
    distance: Literal["cosine", "euclidean"]
    margin: Annotated[float, Field(gt=0)]


class InBatchLoss(Strict):
    kind: Literal["inbatch"]
    scale: Annotated[float, Field(gt=0)]
    hard: bool


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


CROSS_LOSSES = ("pairs", "lists")
Loss = Annotated[Union[TripletLoss, InBatchLoss, ContrastiveLoss, PairLoss, ListLoss], Field(discriminator="kind")]


class Fit(Strict):
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

    @model_validator(mode="after")
    def stops_before_the_end(self):
        if self.stop and self.stop > self.epochs:
            raise ValueError(f"stop {self.stop} is after the last of {self.epochs} epochs")
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
    """A cross-encoder over what another row ranks `first`."""
    first: str


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
    rerankers: dict[Name, Reranker] = {}
    index: Index
    search: Search
    rerank: Rerank | None = None
    measures: Annotated[list[str], Field(min_length=1)]
    report: Report
    gate: Gate
    diagnose: Diagnose
    curve: Curve
    umap: Umap

    @model_validator(mode="after")
    def names_exist(self):
        for problem in _broken_names(self):
            raise ValueError(problem)
        return self

    @property
    def rows(self) -> dict[str, Retriever]:
        """All that ends in runs: retrievers, then rerankers."""
        return {**self.retrievers, **self.rerankers}

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


def _broken_names(study: Study):
    """Names that point nowhere and numbers that contradict each other, as sentences."""
    def missing(where, name, table, kind):
        if name not in table:
            yield f"{where}: no {kind} is called '{name}'; there are: {', '.join(table)}"

    for key, checkpoint in study.checkpoints.items():
        if checkpoint.shape == "run":
            yield from missing(f"checkpoints.{key}.corpus", checkpoint.corpus, study.corpora, "corpus")
            yield from missing(f"checkpoints.{key}.split", checkpoint.split,
                               study.corpora[checkpoint.corpus].judged, "judged split")
    for key, row in study.retrievers.items():
        where = f"retrievers.{key}"
        yield from missing(f"{where}.start", row.start, study.checkpoints, "checkpoint")
        yield from missing(f"{where}.tune", row.tune, study.tunes, "tune block")
        yield from missing(f"{where}.triplets", row.triplets, study.triplets, "triplets block")
        yield from missing(f"{where}.fit", row.fit, study.fits, "fit")
        lessons = [study.tunes[row.tune].kind != "none", study.triplets[row.triplets].size > 0,
                   study.fits[row.fit] is not None]
        if any(lessons) and not all(lessons):
            yield f"{where}: tune, triplets and fit are either all 'none' (an untouched row) or all say something"
        if study.checkpoints[row.start].shape == "cross":
            yield f"{where}: start '{row.start}' is a cross-encoder, which ranks nothing alone; move the row to rerankers"
        if all(lessons) and study.checkpoints[row.start].shape != "symmetric":
            yield f"{where}: start '{row.start}' has no weights to tune; use 'none' for tune, triplets and fit"
        if all(lessons) and study.fits[row.fit].loss.kind in CROSS_LOSSES:
            yield f"{where}: the loss of fits.{row.fit} is for rerankers"
        if all(lessons) and study.triplets[row.triplets].size < study.fits[row.fit].batch:
            yield f"{where}: triplets.{row.triplets}.size is less than one batch of fits.{row.fit}"
    yield from _broken_rerankers(study, missing)
    for key, pool in study.pools.items():
        yield from missing(f"pools.{key}.retriever", pool.retriever, study.retrievers, "retriever")
        yield from missing(f"pools.{key}.corpus", pool.corpus, study.corpora, "corpus")
        if study.retrievers[pool.retriever].triplets != "none":
            yield f"pools.{key}.retriever: '{pool.retriever}' is itself trained; a pool is mined by an untouched row"
        if study.checkpoints[study.retrievers[pool.retriever].start].shape == "run":
            yield f"pools.{key}.retriever: '{pool.retriever}' is a published run and cannot rank training queries"
        if not study.corpora[pool.corpus].train:
            yield f"pools.{key}.corpus: '{pool.corpus}' has no train split"
    for key, block in study.triplets.items():
        where = f"triplets.{key}"
        yield from missing(f"{where}.corpus", block.corpus, study.corpora, "corpus")
        if block.size and not study.corpora[block.corpus].train:
            yield f"{where}.corpus: '{block.corpus}' has no train split"
        room, name, *part = block.negatives.split("/")
        yield from missing(f"{where}.from", name, getattr(study, room), room[:-1].replace("corpor", "corpus"))
        home = name if room == "corpora" else study.pools[name].corpus
        if home != block.corpus:
            yield f"{where}.from: negatives come from corpus '{home}', anchors from '{block.corpus}'"
        if part and not study.corpora[name].docpairs:
            yield f"{where}.from: corpora.{name} names no docpairs"
        if room == "pools" and block.ranks[1] > study.pools[name].depth:
            yield (f"{where}.ranks: {list(block.ranks)} reaches beyond the depth {study.pools[name].depth} "
                   f"of pools.{name}")
    base = study.report.base
    yield from missing("report.base", base, study.retrievers, "retriever")
    if study.retrievers[base].triplets != "none":
        yield f"report.base: '{base}' is itself trained; the base is an untouched row"
    for place in ("report.primary", "report.outside", "umap"):
        spot = study.umap if place == "umap" else getattr(study.report, place.split(".")[1])
        if spot is None:
            continue
        yield from missing(f"{place}.corpus", spot.corpus, study.corpora, "corpus")
        yield from missing(f"{place}.split", spot.split, study.corpora[spot.corpus].judged, "judged split")
        if place != "umap":
            yield from missing(f"{place}.measure", spot.measure, study.measures, "measure")
    for measure in study.measures:
        depth = measure.rpartition("@")[2]
        if depth.isdigit() and int(depth) > study.search.depth:
            yield f"measures: {measure} looks deeper than search.depth {study.search.depth}"
    if len(set(study.seeds)) < len(study.seeds):
        yield "seeds: one stands twice"


def _broken_rerankers(study: Study, missing):
    if study.rerankers and not study.rerank:
        yield "rerank: is missing: depth, queries, batch_tokens, precision and seed of the rerankers' work"
    for key, row in study.rerankers.items():
        where = f"rerankers.{key}"
        if key in study.retrievers:
            yield f"{where}: a retriever has that name"
        yield from missing(f"{where}.start", row.start, study.checkpoints, "checkpoint")
        yield from missing(f"{where}.tune", row.tune, study.tunes, "tune block")
        yield from missing(f"{where}.triplets", row.triplets, study.triplets, "triplets block")
        yield from missing(f"{where}.fit", row.fit, study.fits, "fit")
        yield from missing(f"{where}.first", row.first, study.retrievers, "retriever")
        lessons = [study.tunes[row.tune].kind != "none", study.triplets[row.triplets].size > 0,
                   study.fits[row.fit] is not None]
        if any(lessons) and not all(lessons):
            yield f"{where}: tune, triplets and fit are either all 'none' (an untouched row) or all say something"
        if study.checkpoints[row.start].shape != "cross":
            yield f"{where}: start '{row.start}' is not of shape cross"
        if all(lessons) and study.fits[row.fit].loss.kind not in CROSS_LOSSES:
            yield f"{where}: fits.{row.fit}.loss is for retrievers; a reranker's kind is {' or '.join(CROSS_LOSSES)}"
        if all(lessons) and study.triplets[row.triplets].size < study.fits[row.fit].batch:
            yield f"{where}: triplets.{row.triplets}.size is less than one batch of fits.{row.fit}"
        if study.rerank and study.rerank.depth > study.search.depth:
            yield f"rerank.depth: {study.rerank.depth} is more than search.depth {study.search.depth}"
    for pair in study.report.pairs:
        for name in pair:
            yield from missing("report.pairs", name, study.rows, "row")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    tags = {"full", "lora", "none", "triplet", "inbatch", "contrastive", *CROSS_LOSSES}
    place = [str(part) for part in problem["loc"]]
    if place[:1] == ["tunes"]:
        place = place[1:]
        if problem["type"].startswith("union_tag") or len(place) == 1:
            known = sorted(set(Study.model_fields) - {"tunes"})
            return (f"{place[0]}: neither a block of the study ({', '.join(known)}) nor a tune block "
                    f"(kind: none, full or lora)")
    place = [part for index, part in enumerate(place) if not (index and part in tags and place[index - 1] in
             ("loss", *place[:1]))]
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "no such parameter"
    elif problem["type"] not in ("value_error", "missing"):
        message = f"{message[0].lower()}{message[1:]}, got {problem['input']!r}"
    where = ".".join(place)
    return f"{where}: {message}" if where else message
