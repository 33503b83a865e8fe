"""The stages of dvc.yaml, expanded over the blocks of params.yaml as DVC expands them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

MODULE = re.compile(r"python -m ([\w.]+)")
FIELD = re.compile(r"\$\{([\w.-]+)\}")


@dataclass(frozen=True)
class Instance:
    """One stage that DVC runs: `train` and `full-hard` of train@full-hard; key is "" for a stage that is not expanded.

    `settings` are the keys of params.yaml that it names, under `params` and under `also`; the whole file is the key "".
    """

    stage: str
    key: str
    module: str
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.stage}@{self.key}" if self.key else self.stage

    @property
    def code(self) -> str:
        """Where the fingerprint of its code and settings is, below data/code; interpolations share a folder."""
        stage = self.stage.removesuffix("-interpolated")
        return f"{stage}/{self.key}.json" if self.key else f"{stage}.json"


def instances(pipeline: dict[str, Any], blocks: dict[str, Any]) -> list[Instance]:
    """All instances of a dvc.yaml's stages for the blocks of a params file, in the order of the file."""
    found = []
    for stage, entry in pipeline["stages"].items():
        declared = entry.get("do", entry)
        module = MODULE.search(declared["cmd"])
        if module is None:
            raise ValueError(f"dvc.yaml: the command of stage {stage} does not begin with python -m <module>")
        for key, fields in _expanded(entry, blocks):
            names = (
                _filled(name, fields) if isinstance(name, str) else ""  # {"params.yaml": None} is the whole file
                for name in [*declared.get("params", []), *declared.get("meta", {}).get("also", [])]
            )
            found.append(Instance(stage, key, module[1], tuple(names)))
    return found


def value(settings: dict[str, Any], key: str) -> Any:
    """The value at a dotted key; the whole for ""."""
    for part in key.split(".") if key else []:
        settings = settings[part]
    return settings


def _expanded(entry: dict[str, Any], blocks: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key of a stage with what `${...}` stands for in it."""
    if "foreach" in entry:
        for key, item in _named(entry["foreach"], blocks).items():
            yield key, {**blocks, "key": key, "item": item}
    elif "matrix" in entry:
        axes = {axis: list(_named(block, blocks)) for axis, block in entry["matrix"].items()}
        for values in product(*axes.values()):
            yield "-".join(values), {**blocks, "item": dict(zip(axes, values, strict=True))}
    else:
        yield "", blocks


def _named(template: str, blocks: dict[str, Any]) -> dict[str, Any]:
    return value(blocks, template.removeprefix("${").removesuffix("}")) or {}


def _filled(template: str, fields: dict[str, Any]) -> str:
    return FIELD.sub(lambda match: str(value(fields, match[1])), template)
