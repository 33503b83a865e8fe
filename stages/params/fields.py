"""What all blocks of params.yaml share: strict models, and the kinds of numbers and names."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_truth(value: Any) -> Any:
    """Raises ValueError for true and false, which Python counts as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"must be a whole number, got {value}")
    return value


Positive = Annotated[int, Field(gt=0), BeforeValidator(_no_truth)]
Share = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Strict(BaseModel):
    """A block that accepts the parameters it declares and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
