"""The first problem that pydantic finds in a params file, as one line in the words of that file."""

from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stages.params.losses import Loss, Regularizer
from stages.params.tuning import KINDS
from stages.params.variants import Fusion


def _kinds(union: Any) -> list[str]:
    """The kinds of an annotated union of blocks, each of which has one `kind`."""
    return [_kind(block) for block in get_args(get_args(union)[0])]


def _kind(block: type[BaseModel]) -> str:
    return str(get_args(block.model_fields["kind"].annotation)[0])


TAGS = {*KINDS, *_kinds(Loss), *_kinds(Regularizer), *_kinds(Fusion)}
UNION_FIELDS = ("loss", "regularizer")
NO_BLOCK = ("model_type", "dataclass_type")  # pydantic's words where a value stands in place of a block
LEAST = {"scale": "scale: {training: {processes: 1}, encoding: {engine: local}, search: {processes: 1}}"}


def first_problem(error: ValidationError, study: type[BaseModel], fixed_blocks: set[str]) -> str:
    """`where: what is wrong`; `fixed_blocks` are the blocks of a study with a fixed meaning, all others are tunings."""
    problem = error.errors()[0]
    if problem["type"] == "extra_forbidden":
        problem["ctx"] = {"known": ", ".join(keys_at(study, problem["loc"][:-1]))}
    if problem["type"] in NO_BLOCK:
        problem["ctx"] = {"known": ", ".join(keys_at(study, problem["loc"]))}
    place = [str(part) for part in problem["loc"]]
    if place[:1] == ["tunings"]:
        place = place[1:]
        if problem["type"].startswith("union_tag") or len(place) == 1:
            return (
                f"{place[0]}: neither a block of the study ({', '.join(sorted(fixed_blocks))}) nor a tuning "
                f"(kind: {', '.join(KINDS)})"
            )
    where = ".".join(_without_tags(place))
    message = _message(problem, len(place) == 1)
    return f"{where}: {message}" if where else message


def keys_at(kind: Any, place: Sequence[str | int]) -> list[str]:
    """The parameters of the block that pydantic names by `place`, of a model or of what a field's type holds."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not place:
            return [field.alias or name for name, field in kind.model_fields.items()]
        field = kind.model_fields.get(str(place[0]))
        return keys_at(field.annotation, place[1:]) if field else []
    kinds = [part for part in get_args(kind) if part not in (type(None), Ellipsis) and not isinstance(part, FieldInfo)]
    if get_origin(kind) in (dict, list, tuple):
        return keys_at(kinds[-1], place[1:])
    tagged = {_kind(block): block for block in kinds if hasattr(block, "model_fields") and "kind" in block.model_fields}
    if place and place[0] in tagged:
        return keys_at(tagged[str(place[0])], place[1:])
    return next((keys for block in kinds if (keys := keys_at(block, place))), [])


def _without_tags(place: list[str]) -> list[str]:
    """A parameter's path without the kinds that pydantic puts into it where a block is one of several kinds."""
    return [
        part
        for at, part in enumerate(place)
        if not (at and part in TAGS and (place[at - 1] in (*UNION_FIELDS, *place[:1]) or place[:at:2] == ["fusions"]))
    ]


def _message(problem: ErrorDetails, is_block: bool) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "union_tag_invalid":
        return (
            f"no such kind '{problem['ctx']['tag']}'; there are: {problem['ctx']['expected_tags'].replace(chr(39), '')}"
        )
    if problem["type"] == "union_tag_not_found":
        return "the kind is missing: write kind: and its name"
    if problem["type"] == "extra_forbidden":
        return f"no such parameter; there are: {problem['ctx']['known']}"
    if problem["type"] in NO_BLOCK:
        return f"is a block of keys ({problem['ctx']['known']}), got {problem['input']!r}"
    if problem["type"] == "missing" and is_block and problem["loc"][-1] in LEAST:
        return f"this block is missing; write {LEAST[str(problem['loc'][-1])]}"
    if problem["type"] == "missing" and is_block:
        return "this block is missing; where it has nothing to name, write {}"
    if problem["type"] == "missing":
        where = " and there is no block `base` to take it from" if problem["loc"][-1] == "source" else ""
        return f"is missing{where}; name it"
    if problem["type"] == "value_error":
        return message
    return f"{message[0].lower()}{message[1:]}, got {problem['input']!r}"
