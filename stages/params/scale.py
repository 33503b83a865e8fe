"""How many processes share the work of a stage, and what runs them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.fields import Positive, Strict


class Training(Strict):
    """Processes that share each batch of a training, a GPU each where there are GPUs."""

    processes: Positive


class Encoding(Strict):
    """What encodes: the stage's own process, or actors on a Ray cluster at `address`, which `auto` finds or starts."""

    engine: Literal["local", "ray"]
    address: Annotated[str, Field(min_length=1)] = "auto"
    actors: Positive = 4
    gpus_per_actor: Annotated[float, Field(ge=0)] = 0
    cpus_per_actor: Annotated[float, Field(gt=0)] = 1

    @model_validator(mode="after")
    def only_ray_has_actors(self) -> "Encoding":
        if self.engine == "local" and (said := sorted(self.model_fields_set - {"engine"})):
            raise ValueError(f"{', '.join(said)}: of engine ray alone; leave out with engine: local")
        return self


class Search(Strict):
    """Processes that search parts of a collection at once."""

    processes: Positive


class Scale(Strict):
    training: Training
    encoding: Encoding
    search: Search
