"""YAML files that people write, checked against a model when they are read."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stages.core.errors import UserError

Model = TypeVar("Model", bound=BaseModel)
INSIDE = ("function-", "tuple", "is-", "str", "float", "list")  # what pydantic adds to the path of a field


def load(path: Path) -> Any:
    """A file's content. Raises UserError where it is not YAML."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe").load(path.read_text())
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}")


def read(path: Path, model: type[Model]) -> Model:
    """A file as a model. Raises UserError with the first wrong entry in one line."""
    try:
        return model.model_validate(load(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(INSIDE))
        raise UserError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}".replace(": : ", ": "))
