"""What dvc.lock records of a trained model: the blocks that it was made with, and the hashes behind its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from stages.core.errors import UserError
from stages.params import Study
from stages.params.models import Checkpoint, with_base
from stages.params.searches import Value, setting
from stages.params.tuning import FineTuning
from stages.params.variants import Recipe

Stages = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ModelRecord:
    """`blocks` are those of params.yaml as they were then; the other fields are some of them, parsed.

    `corpora` are those that it was trained on. `first_stage` and `depth` say what a reranker reranked; None for a
    retriever. hashes is path -> md5 of the variant's models, of what they were trained from and on, and of every corpus
    that they were measured on.
    """

    variant: str
    checkpoint: Checkpoint
    tuning: FineTuning
    corpora: tuple[str, ...]
    recipe: Recipe
    seeds: Sequence[int]
    first_stage: str | None
    depth: int | None
    blocks: Mapping[str, Any]
    hashes: Mapping[str, str]


def read(stages: Stages, variant: str, study: Study, chosen: Mapping[str, Value] | None = None) -> ModelRecord:
    """The record of a trained variant, from the stages of a dvc.lock.

    `chosen` is the setting by place of one that was searched for; its tuning and recipe are those with it. Raises
    UserError where it has none, or where the models are newer than the figures on a corpus.
    """
    trainer = _trainer(stages, variant)
    said = _params(stages, trainer)
    kinds = ("retrievers", "searches", "rerankers")
    names = next(said[f"{kind}.{variant}"] for kind in kinds if f"{kind}.{variant}" in said)
    named = _params(stages, f"checkpoint@{names['checkpoint']}")[f"checkpoints.{names['checkpoint']}"]
    checkpoint = with_base(named, stages["code"]["params"]["params.yaml"].get("base") if "code" in stages else None)
    corpora, triplets = _trained_on(stages, names["triplets"])
    tuning, recipe = said[names["tuning"]], said[f"recipes.{names['recipe']}"]
    tuned: FineTuning = TypeAdapter(FineTuning).validate_python(tuning)
    trained = Recipe.model_validate(recipe)
    blocks = {"checkpoint": checkpoint, "tuning": tuning, "triplets": triplets, "recipe": recipe}
    if chosen is not None:
        tuned, trained, _ = setting(tuned, trained, chosen)
        blocks |= {"chosen": dict(chosen)}
    first = names.get("first_stage")
    return ModelRecord(
        variant=variant,
        checkpoint=Checkpoint.model_validate(checkpoint),
        tuning=tuned,
        corpora=corpora,
        recipe=trained,
        seeds=said["seeds"],
        first_stage=first,
        depth=_params(stages, f"rerank@{variant}")["rerank"]["depth"] if first else None,
        blocks=blocks,
        hashes=_hashes(stages, trainer, variant, study),
    )


def _trained_on(stages: Stages, name: str) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """The corpora of a block that is trained on, and the block; of one made from others it holds those as well."""
    if f"score@{name}" in stages:
        block = _params(stages, f"score@{name}")[f"scored.{name}"]
        corpora, scored = _trained_on(stages, block["triplets"])
        return corpora, {**block, "triplets": scored}
    if f"mix@{name}" in stages:
        block = _params(stages, f"mix@{name}")[f"mixes.{name}"]
        (corpora, first), (more, second) = (_trained_on(stages, block[part]) for part in ("first", "second"))
        return tuple(dict.fromkeys([*corpora, *more])), {**block, "first": first, "second": second}
    block = _params(stages, f"triplets@{name}")[f"triplets.{name}"]
    return (block["corpus"],), block


def _trainer(stages: Stages, variant: str) -> str:
    """The stage that trained a variant: a retriever's, one with a searched setting, or a reranker's."""
    named = (f"{stage}@{variant}" for stage in ("train-reranker", "train-tuned"))
    return next((name for name in named if name in stages), f"train@{variant}")


def _stage(stages: Stages, name: str) -> Mapping[str, Any]:
    if name not in stages:
        raise UserError(f"dvc.lock: does not have {name}; run dvc repro")
    return stages[name]


def _params(stages: Stages, name: str) -> Mapping[str, Any]:
    return _stage(stages, name)["params"]["params.yaml"]


def _hashes(stages: Stages, trainer: str, variant: str, study: Study) -> dict[str, str]:
    train, model = _stage(stages, trainer), f"data/models/{variant}"
    hashes = {model: _md5(train["outs"], model)}
    inputs = [
        dep for dep in train["deps"] if dep["path"].startswith("data/") and not dep["path"].startswith("data/code")
    ]
    hashes |= {dep["path"]: dep["md5"] for dep in inputs}
    for corpus in study.corpora:
        encoder = {"train": "encode", "train-tuned": "encode-tuned"}.get(trainer.partition("@")[0])
        reader = f"{encoder}@{variant}-{corpus}" if encoder else f"rerank@{variant}"
        if _md5(_stage(stages, reader)["deps"], model) != hashes[model]:
            raise UserError(
                f"dvc.lock: the models of '{variant}' are newer than their figures on {corpus}; run dvc repro"
            )
        path = f"data/corpora/{corpus}"
        hashes[path] = _md5(_stage(stages, f"download@{corpus}")["outs"], path)
    return hashes


def _md5(files: Sequence[Mapping[str, str]], path: str) -> str:
    return next(file["md5"] for file in files if file["path"] == path)
