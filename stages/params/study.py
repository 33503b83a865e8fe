"""params.yaml whole: every name and every number of the study.

Reading it anywhere validates all of it, so that a typo stops the first stage and not the tenth.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from stages.core.errors import UserError
from stages.params import anchors, checks, messages, renamed, training_sets
from stages.params.corpora import Corpus
from stages.params.fields import Name, Positive, Precision, Strict
from stages.params.models import Checkpoint, Start, with_base
from stages.params.report import Diagnose, Gate, Index, Report, Rerank, Search, Umap, ValidationCurve
from stages.params.scale import Scale
from stages.params.searches import Searched
from stages.params.training_sets import TrainingSet
from stages.params.triplets import Mix, Pool, Scored, Triplets
from stages.params.tuning import Tuning
from stages.params.variants import Fusion, Interpolation, Recipe, Reranker, Retriever, Variant


class Study(Strict):
    precision: Precision = "float32"
    threads: Positive | None = None
    scale: Scale
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    corpora: Annotated[dict[Name, Corpus], Field(min_length=1)]
    base: Start | None = None
    checkpoints: dict[Name, Checkpoint]
    pools: dict[Name, Pool]
    triplets: dict[Name, Triplets]
    scored: dict[Name, Scored]
    mixes: dict[Name, Mix]
    tunings: dict[Name, Tuning]
    recipes: dict[Name, Recipe | None]
    retrievers: dict[Name, Retriever]
    interpolations: dict[Name, Interpolation]
    searches: dict[Name, Searched]
    fusions: dict[Name, Fusion]
    rerankers: dict[Name, Reranker]
    index: Index
    search: Search
    rerank: Rerank
    measures: Annotated[list[str], Field(min_length=1)]
    report: Report
    gate: Gate
    diagnose: Diagnose
    validation_curve: ValidationCurve
    umap: Umap

    @model_validator(mode="after")
    def blocks_agree(self) -> "Study":
        for problem in checks.problems(self):
            raise ValueError(problem)
        return self

    @property
    def searchers(self) -> dict[str, Retriever | Interpolation]:
        """The variants that search for themselves: retrievers, interpolations, those whose setting was searched."""
        return {**self.retrievers, **self.interpolations, **self.searches}

    @property
    def trained(self) -> dict[str, Retriever]:
        """The variants that search with a model of their own training, or as it is: retrievers and `searches`."""
        return {**self.retrievers, **self.searches}

    @property
    def variants(self) -> dict[str, Variant]:
        """All variants: those that search, fusions, rerankers."""
        return {**self.searchers, **self.fusions, **self.rerankers}

    def members(self, variant: str) -> list[str]:
        """The variants whose runs a fusion fuses, those of its fusions included; of another variant itself."""
        if variant not in self.fusions:
            return [variant]
        return list(dict.fromkeys(name for one in self.fusions[variant].of for name in self.members(one)))

    def trained_on(self, variant: str) -> str | None:
        """The corpus that a variant's training queries come from, of a mix its first; None without fine-tuning.

        A reranker without fine-tuning was trained on what its first stage was trained on, and a fusion on what its
        first fine-tuned member was.
        """
        return next(iter(self.corpora_of(variant)), None)

    def corpora_of(self, variant: str) -> tuple[str, ...]:
        """All corpora that a variant's training queries come from, as `trained_on`; () without fine-tuning."""
        if variant in self.fusions:
            of_members = (self.corpora_of(name) for name in self.members(variant))
            return tuple(dict.fromkeys(corpus for corpora in of_members for corpus in corpora))
        read = self.training_set({**self.searchers, **self.rerankers}[variant].triplets)
        if read.size or variant in self.interpolations:
            return read.corpora
        return self.corpora_of(self.rerankers[variant].first_stage) if variant in self.rerankers else ()

    def training_set(self, name: str) -> TrainingSet:
        """What is known of the triplets of a name in `triplets`, `scored` or `mixes`."""
        return training_sets.of(self, name)

    @property
    def training_sets(self) -> list[str]:
        """The names that a variant can give as its triplets: in `triplets`, `scored`, `mixes`."""
        return training_sets.names(self)

    def warnings(self) -> list[str]:
        """Legal but telling settings, one sentence each; the report repeats them."""
        timed = [
            f"searches.{name}: a budget of hours ends the search elsewhere on another machine or day; with trials "
            "alone the same seed gives the same trials"
            for name, block in self.searches.items()
            if block.hours is not None
        ]
        return timed + [
            f"recipes.{name}.loss.margin {recipe.loss.margin:g} is not below {recipe.diameter:g}, the largest "
            f"{recipe.loss.distance or 'cosine'} distance between its vectors: no triplet is ever satisfied"
            for name, recipe in self.recipes.items()
            if recipe and recipe.loss.kind == "triplet" and recipe.diameter and recipe.loss.margin >= recipe.diameter
        ]


def load(path: Path = Path("params.yaml")) -> Study:
    """Read and check a whole params file.

    Raises UserError, whose one line names the first wrong parameter; a file with old keys gets one line a key.
    It is read with ruamel.yaml, which is what DVC writes with: PyYAML would take the 1e-05 of an -S for a string.
    """
    from ruamel.yaml import YAML, YAMLError

    if not path.is_file():
        raise UserError(f"{path}: there is no such file here; run from the repository's root")
    try:
        written = path.read_text()
        anchors.check(written, path)
        blocks = YAML(typ="safe").load(written)
    except YAMLError as error:
        colon = "; between braces write no value with a colon, but on a line of its own" if "':'" in str(error) else ""
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}{colon}")
    if not isinstance(blocks, dict):
        raise UserError(f"{path}: holds no blocks; restore it with git checkout {path}")
    if old := renamed.found(blocks):
        raise UserError("\n".join(f"{path}: {line}" for line in old))
    try:
        return parse(blocks)
    except ValidationError as error:
        raise UserError(f"{path}: {messages.first_problem(error, Study, _fixed_blocks())}")


def parse(blocks: dict) -> Study:
    """Build a Study from the blocks of a params file; a top-level block without a fixed meaning is a tuning.

    A checkpoint takes what it does not say from `base`, and what computes takes its precision from the study. Raises
    pydantic's ValidationError.
    """
    known = _fixed_blocks()
    tunings = {name: block for name, block in blocks.items() if name not in known}
    recipes = {name: recipe or None for name, recipe in (blocks.get("recipes") or {}).items()}
    fixed = {name: block for name, block in blocks.items() if name in known}
    named = blocks.get("checkpoints")
    checkpoints = {name: with_base(block, fixed.get("base")) for name, block in (named or {}).items()}
    blocks = {**fixed, "tunings": tunings, "recipes": recipes, "checkpoints": checkpoints}
    return Study.model_validate(_with_precision(blocks))


def _with_precision(blocks: dict) -> dict:
    """The blocks that compute, with the study's `precision` where they name none of their own."""

    def filled(block: Any) -> Any:
        return {"precision": precision, **block} if isinstance(block, dict) else block

    precision = blocks.get("precision", Study.model_fields["precision"].default)
    recipes = {name: filled(recipe) for name, recipe in blocks["recipes"].items()}
    computing = {name: filled(blocks[name]) for name in ("index", "rerank") if name in blocks}
    return {**blocks, **computing, "recipes": recipes}


def _fixed_blocks() -> set[str]:
    return set(Study.model_fields) - {"tunings"}
