"""The stages of dvc.yaml, expanded over the blocks of params.yaml as DVC expands them."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

MODULE = re.compile(r"python -m ([\w.]+)")
SAME_SCRIPT = ("-interpolated", "-tuned")  # stages of their own that do what encode and search do
FIELD = re.compile(r"\$\{([\w.-]+(?:\[-?\d+\])?)\}")
ELEMENT = re.compile(r"(.*)\[(-?\d+)\]")


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
        """Where the fingerprint of its code and settings is, below data/code; all that encodes shares a folder."""
        stage = plain(self.stage)
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


def needs(pipeline: dict[str, Any], blocks: dict[str, Any]) -> dict[str, set[str]]:
    """Stage -> those whose outputs it reads, of all instances; a folder is read with what stages write into it."""
    paths = {}
    for stage, entry in pipeline["stages"].items():
        declared = entry.get("do", entry)
        for key, fields in _expanded(entry, blocks):
            listed = [
                {
                    _filled(path if isinstance(path, str) else next(iter(path)), fields)
                    for kind in kinds
                    for path in declared.get(kind, [])
                }
                for kinds in (("deps",), ("outs", "metrics", "plots"))
            ]
            paths[f"{stage}@{key}" if key else stage] = listed

    writers = {out: name for name, (_, outs) in paths.items() for out in outs}
    outs_in_order = sorted(f"{out}/" for out in writers)

    def writing(dep: str) -> Iterator[str]:
        """Who writes a path, a folder that it is in, or something in it."""
        parts = dep.split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        yield from (writers[path] for path in above if path in writers)
        at = bisect_left(outs_in_order, f"{dep}/")
        while at < len(outs_in_order) and outs_in_order[at].startswith(f"{dep}/"):
            yield writers[outs_in_order[at][:-1]]
            at += 1

    found = {name: {one for dep in deps for one in writing(dep)} - {name} for name, (deps, _) in paths.items()}
    return _ordered(found)


def _ordered(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same, each stage after those that it needs."""
    ordered: dict[str, set[str]] = {}
    while len(ordered) < len(found):
        ready = {name: before for name, before in found.items() if name not in ordered and before <= ordered.keys()}
        if not ready:
            raise ValueError("dvc.yaml: its stages need each other in a circle")
        ordered |= ready
    return ordered


def plain(stage: str) -> str:
    """A stage's kind: encode also for encode-interpolated and encode-tuned, train-tuned for itself."""
    for ending in SAME_SCRIPT:
        if stage.startswith(("encode", "search")):
            stage = stage.removesuffix(ending)
    return stage


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
    return FIELD.sub(lambda match: str(_element(fields, match[1])), template)


def _element(fields: dict[str, Any], key: str) -> Any:
    """The value at a dotted key, which may end in the place of an element of a list: item.of[-1]."""
    listed = ELEMENT.fullmatch(key)
    return value(fields, listed[1])[int(listed[2])] if listed else value(fields, key)
