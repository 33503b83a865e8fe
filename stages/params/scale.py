"""How many processes share the work of a stage, and what runs them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Strict

if TYPE_CHECKING:
    from stages.params.study import Study


class Training(Strict):
    """Processes that share each batch of a training, a GPU each where there are GPUs."""

    processes: Positive


class Encoding(Strict):
    """What encodes and reranks: the stage's own process, or actors on a Ray cluster, by default one of its own."""

    engine: Literal["local", "ray"]
    address: Annotated[str, Field(min_length=1)] = "local"
    actors: Positive = 4
    gpus_per_actor: Annotated[float, Field(ge=0)] = 0
    cpus_per_actor: Annotated[float, Field(gt=0)] = 1

    @model_validator(mode="after")
    def only_ray_has_actors(self) -> Encoding:
        if self.engine == "local" and (said := sorted(self.model_fields_set - {"engine"})):
            raise ValueError(f"{', '.join(said)}: of engine ray alone; leave out with engine: local")
        if not self.address.strip():
            raise ValueError("address: names none; say local, auto, or the address of a Ray cluster")
        if self.gpus_per_actor > 1 and self.gpus_per_actor % 1:
            raise ValueError(f"gpus_per_actor: {self.gpus_per_actor}: Ray takes a part of one GPU, or whole ones")
        return self

    @property
    def own_actors(self) -> int:
        """The actors that a stage starts on this machine, for itself; 1 where it computes alone or on a cluster."""
        return self.actors if self.engine == "ray" and self.address == "local" else 1

    @property
    def own_gpus(self) -> int:
        """The GPUs of this machine that a stage's own actors share."""
        return max(1, math.ceil(self.own_actors * self.gpus_per_actor))


class Search(Strict):
    """Processes that search parts of a collection at once."""

    processes: Positive


class Scale(Strict):
    training: Training
    encoding: Encoding
    search: Search

    @property
    def most(self) -> int:
        """The processes that a stage takes on this machine, at most, besides those that search."""
        return max(self.training.processes, self.encoding.own_actors)


def problems(study: Study) -> Iterator[str]:
    """Batches that the processes of a training cannot divide evenly, of what the study trains."""
    processes = study.scale.training.processes
    batches = {}
    for variant in [*study.trained.values(), *study.rerankers.values()]:
        if recipe := study.recipes[variant.recipe]:
            batches[f"recipes.{variant.recipe}.batch"] = [recipe.batch]
    for name, block in study.searches.items():
        if axis := block.space.get("recipe.batch"):
            tried = axis.choices or range(int(axis.low or 0), int(axis.high or 0) + 1)
            batches[f"searches.{name}.space.recipe.batch"] = [int(size or 0) for size in tried]
    for where, sizes in batches.items():
        for size in sizes:
            if size % processes:
                yield (
                    f"{where}: {size} cannot be divided among scale.training.processes: {processes}; name a batch that "
                    f"is a multiple of {processes}, or fewer processes"
                )
