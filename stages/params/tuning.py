"""The blocks of params.yaml that say which weights move, and how fast: every top-level block with a `kind`."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from stages.params.fields import Positive, Share, Strict

# The share of trained elements that must move for a training to tell something. In float32 nearly all do; below a half
# most updates were lost in rounding (a learning rate too small for the weights), or there were hardly any.
ENOUGH_MOVED = 0.5


class NoTuning(Strict):
    kind: Literal["none"]


class Moving(Strict):
    """The learning rate, and the optimizer that applies it: its name, and its betas where they are not the default."""

    lr: Annotated[float, Field(gt=0, lt=1)]
    optimizer: Literal["adamw", "lion"] = "adamw"
    betas: tuple[Share, Share] | None = None


class FullTuning(Moving):
    kind: Literal["full"]


class LoraTuning(Moving):
    """`dense` trains the layers with weights that come after the transformer as well, all of them."""

    kind: Literal["lora"]
    rank: Positive
    lora_alpha: Positive
    modules: Annotated[list[str], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rslora: bool = False
    dora: bool = False
    dense: bool = False


class Ia3Tuning(Moving):
    """Vectors that scale the outputs of `modules` and, of those also named in `feedforward`, the inputs.

    `dense` trains the layers with weights that come after the transformer as well, all of them.
    """

    kind: Literal["ia3"]
    modules: Annotated[list[str], Field(min_length=1)]
    feedforward: tuple[str, ...] = ()
    dense: bool = False


class PeftTuning(Moving):
    """A method of peft by its name there; all other keys are fields of that method's configuration, unchanged.

    `modules` is another name for its target_modules; without either peft chooses for the architectures that it knows.
    `dense` trains the layers with weights that come after the transformer as well, all of them.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    kind: Literal["peft"]
    method: Annotated[str, Field(min_length=1)]
    modules: Annotated[list[str], Field(min_length=1)] | None = None
    dense: bool = False

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the method's own configuration."""
        return dict(self.__pydantic_extra__ or {})


class FrozenTuning(Moving):
    """Every weight but the embeddings and the first `layers` layers."""

    kind: Literal["frozen"]
    layers: Annotated[int, Field(ge=0)]


Adapter = LoraTuning | Ia3Tuning | PeftTuning
FineTuning = FullTuning | LoraTuning | Ia3Tuning | PeftTuning | FrozenTuning
Tuning = Annotated[NoTuning | FineTuning, Field(discriminator="kind")]
KINDS = ("none", "full", "lora", "ia3", "peft", "frozen")
ADAPTERS = ("lora", "ia3", "peft")
