"""What is wrong with `searches`: names that point nowhere or do not agree, settings that no variant can have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from stages.params.searches import Searched, setting
from stages.params.variants import Recipe, Retriever

if TYPE_CHECKING:
    from stages.params.study import Study


def problems(study: Study) -> Iterator[str]:
    """What is wrong with the searches of a study, the first problem first."""
    for key, block in study.searches.items():
        yield from _names(study, f"searches.{key}", key, block)
        yield from _space(study, f"searches.{key}.space", block)
    base = study.retrievers.get(study.report.base)
    if study.searches and base and study.checkpoints[base.checkpoint].architecture == "published-run":
        yield f"report.base: '{study.report.base}' is a published run and ranks no validation queries for `searches`"


def _names(study: Study, where: str, key: str, block: Searched) -> Iterator[str]:
    if key in study.retrievers or key in study.interpolations:
        yield f"{where}: another variant has that name"
    if block.variant not in study.retrievers:
        yield f"{where}.variant: no retriever is called '{block.variant}'; there are: {', '.join(study.retrievers)}"
    start = study.retrievers[block.variant]
    if study.recipes.get(start.recipe) is None:
        yield f"{where}.variant: '{block.variant}' is not fine-tuned: it has no setting to search"
    for name in Retriever.model_fields:
        if getattr(block, name) != getattr(start, name):
            yield f"{where}.{name}: must be '{getattr(start, name)}', as variant '{block.variant}' has it"
    corpus = study.training_set(start.triplets).corpora[0]
    if block.corpus != corpus:
        yield f"{where}.corpus: must be '{corpus}', which the triplets '{start.triplets}' are of"
    if not study.corpora[corpus].validation:
        yield f"{where}: its trials are scored on validation, and corpora.{corpus} has no validation queries"
    if block.seed not in study.seeds:
        yield f"{where}.seed: {block.seed} is none of `seeds`, whose triplets a trial is trained on"


def _space(study: Study, where: str, block: Searched) -> Iterator[str]:
    """Each end and choice of a space must be a setting that the variant can have."""
    tuning, recipe = study.tunings[block.tuning], study.recipes[block.recipe]
    if tuning.kind == "none" or recipe is None:
        return
    for place, axis in block.space.items():
        if why := _unknown(place, {"tuning": (block.tuning, tuning), "recipe": (block.recipe, recipe)}):
            yield f"{where}.{place}: {why}"
            return
        for value in axis.ends:
            try:
                _, tried, _ = setting(tuning, recipe, {place: value})
            except ValidationError as error:
                of_kind = [each for each in error.errors() if each["loc"][0] == type(tuning).__name__]
                said = (of_kind or error.errors())[0]["msg"].removeprefix("Value error, ")
                yield f"{where}.{place}: {value!r} cannot be: {said[0].lower()}{said[1:]}"
                return
            yield from _recipe(study, f"{where}.{place}", block, recipe, tried)


def _unknown(place: str, blocks: Mapping[str, tuple[str, object]]) -> str | None:
    """Why a place is no setting of what is searched; None where it is one."""
    first, *parts = place.split(".")
    if parts and parts[-1] == "kind":
        return "a search keeps its loss and tuning; write a variant for each and search both"
    name, block = blocks.get(first, ("", None))
    for part in parts:
        if block is None or isinstance(block, Mapping):
            return None
        known = [key for key in type(block).model_fields if key != "kind"] if isinstance(block, BaseModel) else []
        if part not in known:
            there = f"there are: {', '.join(known)}" if known else "it holds one value"
            return f"no such parameter of {name}; {there}"
        name, block = f"{name}.{part}", getattr(block, part)
    return None


def _recipe(study: Study, where: str, block: Searched, recipe: Recipe, tried: Recipe) -> Iterator[str]:
    if tried.loss.kind != recipe.loss.kind:
        yield f"{where}: a search keeps its loss; search variant by variant"
    if tried.batch > study.training_set(block.triplets).size:
        yield f"{where}: triplets '{block.triplets}' have less than one batch of {tried.batch}"
    similarity = study.checkpoints[block.checkpoint].similarity
    if similarity and (why := tried.contradiction(similarity)):
        yield f"{where}: {why}"
