"""What a study takes on a given machine, before anything of it is fetched: arithmetic from sizes and measured rates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.collections import canonical, cut, readers, sizes
from stages.core import graph
from stages.core.errors import UserError
from stages.planning import shapes, space, timing
from stages.planning.shapes import Shape
from stages.planning.speeds import Corpus, Speed
from stages.running import kinds

if TYPE_CHECKING:
    from stages.params import Study
    from stages.params import corpora as blocks_of

DATA = Path("data/corpora")
TOKENS = 1.35  # of a word of English in the word pieces of BERT; two more begin and end each text
NUMBERS = 384  # of a vector, in the rate of search


@dataclass(frozen=True)
class Machine:
    """What was measured on a machine, of one stage that takes all its `cores`, or a GPU.

    `computed` are the weights that a token is multiplied with in the model that was measured (shapes.Shape). Rates are
    tokens a second, in encoding and in training, and pairs of a query and a passage of 384 numbers in exact search.
    `encoding` and `training` are megabytes at the peak of the measured model, trained in batches of `batch` tokens.
    `slowness` is that of short stages, next to two cores at work.
    """

    name: str
    cores: int
    gpu: bool
    computed: int
    tokens: float
    trained: float
    searched: float
    encoding: float
    training: float
    batch: float
    slowness: float

    def speed(self, models: Mapping[str, Shape], threads: int | None) -> Speed:
        """The speed of a stage; a token costs what its checkpoint's weights are, next to the measured model's."""
        costs = {name: shape.computed / self.computed for name, shape in models.items()}
        share = min(1.0, (threads or self.cores) / self.cores)
        model = 1.0 if self.gpu else share
        return Speed(
            model * self.tokens, model * self.tokens, model * self.trained, self.slowness, share * self.searched, costs
        )


@dataclass(frozen=True)
class Line:
    """All stages of a kind: how many, the seconds of the longest and of all, and gigabytes of memory and disk."""

    kind: str
    number: int
    longest: float
    seconds: float
    memory: float
    disk: float


@dataclass(frozen=True)
class Estimate:
    """A study's stages by kind, the seconds of the whole with so many stages at once, and what was assumed."""

    lines: list[Line]
    seconds: float
    jobs: int
    assumed: list[str]


def read(path: Path) -> Machine:
    """A machine's rates. Raises UserError for a file that is not what `stages.estimate measure` writes."""
    try:
        return Machine(**_numbers(json.loads(path.read_text())))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{path}: no rates of a machine ({error}); python -m stages.estimate measure writes them")


def _numbers(rates: Any) -> dict[str, Any]:
    """Rates as they are read; raises ValueError for what is no object, and where one is no number above 0."""
    if not isinstance(rates, dict):
        raise ValueError("it holds no JSON object")
    for key, value in rates.items():
        if key not in ("name", "gpu") and not (type(value) in (int, float) and value > 0):
            raise ValueError(f"{key} is {value!r} and not a number above 0")
    return rates


def as_json(machine: Machine) -> str:
    return json.dumps(asdict(machine), indent=1) + "\n"


def made(study: Study, filled: dict[str, Any], pipeline: dict[str, Any], machine: Machine, jobs: int) -> Estimate:
    """The estimate of a study, whose params file is `filled`. Raises UserError where a collection's size is unknown."""
    models = {name: shapes.of(block.source) for name, block in study.checkpoints.items() if _has_weights(study, name)}
    known, said = {}, []
    for name, block in study.corpora.items():
        known[name], origin = corpus(study, name, block)
        said.append(f"{name}: {_words(known[name])} ({origin})")
    each = timing.seconds(study, filled, pipeline, known, machine.speed(models, study.threads))
    each = {name: max(0.5, seconds) for name, seconds in each.items()}
    size = space.disk(study, known, 0, 0.0, models)
    kinds: dict[str, list[float]] = {}
    for name, seconds in each.items():
        kinds.setdefault(name.partition("@")[0], []).append(seconds)
    lines = [
        Line(kind, len(of), max(of), sum(of), peak(kind, study, known, models, machine) / 1e3, size.get(kind, 0) / 1e3)
        for kind, of in sorted(kinds.items(), key=lambda entry: -sum(entry[1]))
    ]
    said += [f"{name}: {shape.weights / 1e6:.0f} million weights{_known(shape)}" for name, shape in models.items()]
    whole = timing.whole(filled, pipeline, each, jobs) if jobs > 1 else sum(each.values())
    return Estimate(lines, whole, jobs, said)


def corpus(study: Study, name: str, block: blocks_of.Corpus) -> tuple[Corpus, str]:
    """A corpus's sizes, and how they are known: it is on disk, others published them, or its source is read here."""
    caps = [one.tokens for key, one in study.checkpoints.items() if _has_weights(study, key) and one.tokens]
    longest = float(block.tokens or max(caps, default=512))
    if (DATA / name / "card.json").is_file():
        card = canonical.card(DATA / name)
        queries = {split: own.queries for split, own in card.splits.items()}
        asked = sum(own.queries * own.words_per_query for own in card.splits.values()) / max(1, sum(queries.values()))
        return _cut(card.documents, queries, asked, card.words_per_passage, longest), f"from {DATA / name}"
    if told := sizes.published(block):
        return (
            _cut(told.passages, _split(block, told.queries), told.query_words, told.passage_words, longest),
            "as published",
        )
    if block.source.startswith(("irds:", "hf:")) and not block.source.startswith(("hf:.", "hf:/", "hf:~")):
        raise UserError(
            f"corpora.{name}: how large {block.source} is, is not known here; dvc repro download@{name} finds out"
        )
    return _counted(block, longest), f"read from {block.source}"


def _counted(block: blocks_of.Corpus, longest: float) -> Corpus:
    source = cut.by_shares(readers.read(block), block)
    passages = words = 0
    for _, text in source.docs:
        passages, words = passages + 1, words + len(text.split())
    queries = {split: len({query for query, _, _ in rows}) for split, rows in source.qrels.items()}
    asked = [len(query.text.split()) for query in source.queries.values()]
    return _cut(passages, _split(block, queries), sum(asked) / max(1, len(asked)), words / max(1, passages), longest)


def _split(block: blocks_of.Corpus, queries: Mapping[str, int]) -> dict[str, int]:
    """The queries of each split once validation is set aside and limits hold."""
    kept = {split: min(number, _limit(block, split) or number) for split, number in queries.items()}
    if "train" in kept and block.validation:
        kept |= {"train": kept["train"] - block.validation, "validation": block.validation}
    return kept


def _limit(block: blocks_of.Corpus, split: str) -> int | None:
    return block.judged[split].limit if split in block.judged else None


def _cut(passages: int, queries: dict[str, int], asked: float, words: float, longest: float) -> Corpus:
    return Corpus(passages, queries, min(longest, TOKENS * words + 2), min(longest, TOKENS * asked + 2))


def _has_weights(study: Study, checkpoint: str) -> bool:
    return study.checkpoints[checkpoint].architecture not in ("lexical", "published-run")


def _words(corpus: Corpus) -> str:
    return (
        f"{corpus.passages:,} passages of {corpus.passage_tokens:.0f} tokens, {sum(corpus.queries.values()):,} queries"
    )


def _known(shape: Shape) -> str:
    return "" if shape.known else ", as BERT-base has: nothing is known of it"


def peak(
    kind: str, study: Study, corpora: Mapping[str, Corpus], models: Mapping[str, Shape], machine: Machine
) -> float:
    """Megabytes of one stage of a kind at its peak, the largest of the study."""
    plain = graph.plain(kind)
    passages = max((one.passages for one in corpora.values()), default=0)
    light = space.LIGHT + space.A_PASSAGE.get(plain, space.IDS) * passages / 1e6
    if trained := _trained(kind, study):
        return max(_training(study, one, corpora, models[one.checkpoint], machine) for one in trained)
    if plain not in space.COMPUTES:
        return light
    shaped = [models[one] for one in _computing(plain, study) if one in models]
    widest = max((study.index.block * shape.width + shape.weights for shape in shaped), default=0) * shapes.WEIGHT / 1e6
    if kind == "encode" and any(timing.is_lexical(study, name) for name in study.retrievers):
        tokens = max(one.passages * one.passage_tokens for one in corpora.values())
        return max(machine.encoding + widest, space.INDEXING * tokens / 1e6)
    return machine.encoding + widest


def _trained(kind: str, study: Study) -> list[Any]:
    """The variants that the stages of a kind train."""
    blocks: dict[str, Any] = {"train": study.retrievers, "train-reranker": study.rerankers}
    found = blocks.get(kind, study.searches if kind in kinds.TRAINING else {})
    return [block for block in found.values() if study.recipes[block.recipe] is not None]


def _computing(kind: str, study: Study) -> list[str]:
    """The checkpoints that the stages of a kind load."""
    if kind == "rerank":
        return [block.checkpoint for block in study.rerankers.values()]
    return [timing.checkpoint(study, name) for name in study.searchers] if kind == "encode" else [*study.checkpoints]


def _training(study: Study, block: Any, corpora: Mapping[str, Corpus], shape: Shape, machine: Machine) -> float:
    """Weights, gradients and two moments, and what a batch's tokens keep in every layer, as much wider as the model."""
    recipe, drawn = study.recipes[block.recipe], study.training_set(block.triplets)
    assert recipe
    texts = getattr(recipe.loss, "mini_batch", None) or recipe.batch
    own = corpora[drawn.corpora[0]]
    tokens = texts * (own.query_tokens + (1 + drawn.negatives_per_query) * own.passage_tokens)
    a_token = (machine.training - machine.encoding) / machine.batch
    wider = shape.layers * shape.width / (6 * NUMBERS)
    return machine.encoding + 4 * shape.weights * shapes.WEIGHT / 1e6 + a_token * wider * tokens
