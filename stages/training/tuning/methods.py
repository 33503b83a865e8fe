"""The methods of peft by peft's own names: their configurations, and which of them fit an encoder.

What a method can do is asked of peft, and nothing here names one. Raised UserErrors begin with the key that is wrong.
"""

from __future__ import annotations

import dataclasses
import json
import typing
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.params.tuning import PeftTuning

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn

WIDEST = 1024  # hidden size up to which a model of random weights is built to try a method on
WORDS = 64  # rows of the word table of such a model
FAILURES = (ValueError, TypeError, RuntimeError, AttributeError, LookupError, NotImplementedError, AssertionError)


def names() -> dict[str, type[PeftConfig]]:
    """The configuration of each method of the installed peft that changes layers of a network, by lower-case name.

    Those that put virtual tokens before a text, or need a decoder of their own kind, are left out.
    """
    from peft.config import PromptLearningConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
    from peft.tuners.tuners_utils import BaseTuner

    return {
        kind.value.lower(): config
        for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if issubclass(PEFT_TYPE_TO_TUNER_MAPPING.get(kind) or object, BaseTuner)
        and not issubclass(config, PromptLearningConfig)
    }


def configuration(tuning: PeftTuning, **keywords: Any) -> PeftConfig:
    """The configuration of a tuning's method, its own fields unchanged; `keywords` are further ones of peft's.

    Raises UserError for a method that peft does not have or that fits no encoder, for a field that the method does not
    have, and for a value that is not of the field's type or that peft refuses.
    """
    known = names()
    config = known.get(tuning.method.lower().replace("-", "_"))
    if config is None:
        raise UserError(f"method: {_why_not(tuning.method)}; there are: {', '.join(sorted(known))}")
    given = dict(tuning.fields)
    if tuning.modules is not None:
        given["target_modules"] = list(tuning.modules)
    allowed = own_fields(config)
    for field, value in given.items():
        if field not in allowed:
            name = "modules" if field == "target_modules" and tuning.modules is not None else field
            raise UserError(f"{name}: peft's {tuning.method} has no such field; its fields are: {', '.join(allowed)}")
        _check_type(field, allowed[field], value)
    if unknown := sorted(set(keywords) - {field.name for field in dataclasses.fields(config)}):
        raise UserError(f"method: peft's {tuning.method} has no {unknown[0]}, which a new head needs; take another")
    if head := keywords.get("modules_to_save"):
        keywords["modules_to_save"] = sorted({*head, *(given.pop("modules_to_save", None) or [])})
    try:
        return config(**given, **keywords)
    except FAILURES as error:
        raise UserError(f"method: peft's {tuning.method} refuses these fields ({_line(error)})")


def own_fields(config: type[PeftConfig]) -> dict[str, Any]:
    """The types of a method's own fields by name: those that peft shares by all methods are set here."""
    from peft import PeftConfig

    shared = {field.name for field in dataclasses.fields(PeftConfig)}
    types = typing.get_type_hints(config)
    own = (field.name for field in dataclasses.fields(config) if field.init and field.name not in shared)
    return {name: types[name] for name in sorted(own)}


def _why_not(method: str) -> str:
    from peft import PeftType

    if method.upper().replace("-", "_") in PeftType.__members__:
        return f"peft's {method} changes no layers of an encoder: it needs virtual tokens or a decoder"
    return f"peft has no {method}"


def _check_type(field: str, kind: Any, value: Any) -> None:
    """UserError where a value of params.yaml is not of a field's type; types that pydantic does not know are peft's."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    try:
        TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        said = str(kind).replace("typing.", "").replace("<class '", "").replace("'>", "")
        raise UserError(f"{field}: peft wants {said}, got {value!r} ({error.errors()[0]['msg'].lower()})")
    except PydanticUserError:
        if not dataclasses.is_dataclass(kind):
            return
        raise


def added(network: nn.Module, config: PeftConfig) -> PeftModel:
    """A network with a method's layers in it, in place, wrapped by peft, which runs on a text and has weights to train.

    Raises UserError where peft does not put them there, and where they need other inputs than a text's tokens.
    """
    import torch
    from peft import get_peft_model

    method = str(getattr(config.peft_type, "value", config.peft_type)).lower()
    try:
        model = get_peft_model(network, config)
        training = model.training
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            ids = torch.ones((2, 4), dtype=torch.long, device=next(model.parameters()).device)
            model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
        model.train(training)
    except FAILURES as error:
        raise UserError(f"method: peft's {method} does not fit this model ({_line(error)})")
    if not model.get_nb_trainable_parameters()[0]:
        raise UserError(f"method: peft's {method} leaves nothing of this model to train; see its fields")
    return model


def rehearse(tuning: PeftTuning, described: Mapping[str, Any]) -> None:
    """Put a tuning's method into a network of random weights of the model that a config.json describes.

    Raises UserError where it does not fit. Does nothing for a model that transformers does not know, or a wide one.
    """
    import torch
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModel

    if described.get("model_type") not in CONFIG_MAPPING or (described.get("hidden_size") or WIDEST + 1) > WIDEST:
        return
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.for_model(**{**described, "vocab_size": WORDS, "pad_token_id": 0})
        network = AutoModel.from_config(config, dtype=torch.float32)
        added(network, configuration(tuning, task_type="FEATURE_EXTRACTION"))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
