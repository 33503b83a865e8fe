"""Which collection is meant, and which splits its source has, before anything of it is read."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stages.collections import readers, tables
from stages.collections.language import DEFAULT
from stages.core import fingerprint, paths
from stages.core.errors import UserError
from stages.params.corpora import LOCAL, Corpus, JudgedSplit
from stages.planning import counts, layout
from stages.planning.facts import Facts
from stages.planning.layout import Layout

KINDS = ("beir", "irds", "hf", "docstrings")
SHARES = {"train": 40, "dev": 15, "test": 45}  # of a docstrings source, which has no splits of its own
TRAINED = ("train", "validation")  # names that no judged split can have
NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def named(collection: str) -> str:
    """The `source` of params.yaml for what a person wrote: a bare path is a folder in BEIR layout."""
    if not collection:
        raise UserError("COLLECTION: name a folder in BEIR layout, as in make study COLLECTION=../mine")
    kind, _, rest = collection.partition(":")
    if kind in KINDS and rest:
        try:
            Corpus(source=collection, train="train", judged={}, shares=SHARES)
        except ValidationError as error:
            raise UserError(f"--collection {collection}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
        return collection
    if not paths.of_user(collection).is_dir():
        raise UserError(
            f"COLLECTION: there is no folder {collection}; name one in BEIR layout, or beir:<folder>, irds:<id>, "
            f"hf:<dataset>@<commit>, docstrings:<packages>"
        )
    return f"beir:{collection}"


def splits(source: str) -> list[str]:
    """The names of a source's splits of judgments. Raises UserError where it has none."""
    kind, _, location = source.partition(":")
    found: Iterable[str]
    match kind:
        case "docstrings":
            return [*SHARES]
        case "irds":
            found = _of_ir_datasets(location)
        case "hf":
            found = _of_hub(location)
        case _:
            found = readers.splits(Corpus(source=source, train="train", judged={})) or []
    if not (listed := sorted(found)) and kind == "irds":
        raise UserError(f"--collection {source}: has no judgments, nor has what is right below it; name an id that has")
    if not listed:
        raise UserError(
            f"{location}: has no judgments; put them into qrels/<split>.tsv with the header query-id corpus-id score"
        )
    return listed


def corpus(source: str, there: Iterable[str]) -> Corpus:
    """A block that reads every split: `train`, and all others as judged ones under names that params.yaml takes."""
    there = list(there)
    shares = SHARES if source.startswith("docstrings:") else None
    judged = {name: JudgedSplit(subset=split) for name, split in named_here(there).items() if split != "train"}
    return Corpus(source=source, train="train" if "train" in there else None, judged=judged, shares=shares)


def named_here(there: Iterable[str]) -> dict[str, str]:
    """Names as params.yaml takes them -> the splits of a source, in their order.

    A split keeps its name where it can; then the others take what is left of theirs, with a number where that is taken.
    """
    there = list(there)
    kept = {split for split in there if name_of(split) == split}
    names: dict[str, str] = {}
    for split in there:
        name, number = name_of(split), 1
        while split not in kept and (name in kept or name in names or name in TRAINED):
            number += 1
            name = f"{name_of(split)}-{number}"
        names[name] = split
    return names


def name_of(split: str) -> str:
    """A split's name as params.yaml takes it; validation is there what is cut from train, so that it is called dev."""
    name = NOT_A_NAME.sub("-", split).strip("-_") or "test"
    return "dev" if name == "validation" else name


def block(found: Facts, splits: Layout, names: Mapping[str, str]) -> dict[str, Any]:
    """The collection's block of params.yaml; `names` maps the splits of the facts to those of the source."""
    here = {split: name for name, split in names.items()}
    judged = {}
    for split, origin in splits.judged.items():
        own = found.splits[here[origin]]
        rules: dict[str, Any] = {"subset": origin} if origin != split else {}
        rules |= {"rel": rel} if (rel := counts.relevance(own)[0]) > 1 else {}
        rules |= {"drop_self": True} if found.themselves else {}
        rules |= {"limit": layout.MOST_JUDGED} if splits.queries(split, found, names) > layout.MOST_JUDGED else {}
        judged[split] = rules
    made: dict[str, Any] = {"source": found.source}
    if shares := splits.shares or (SHARES if found.source.startswith("docstrings:") else None):
        made["shares"] = shares
    if splits.train is not None:
        made |= {"train": splits.train, "validation": splits.validation}
    language = {"language": found.language} if found.language != DEFAULT else {}
    return {**made, **language, "judged": judged}


def state(source: str) -> str:
    """A hash that changes with the files of a collection on this machine: their names, sizes and times."""
    kind, _, location = source.partition(":")
    local = kind == "beir" or (kind == "hf" and location.startswith(LOCAL))
    files = sorted(paths.of_user(location).rglob("*")) if local else []
    seen = [(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()]
    return fingerprint.of_values(source, seen)


def _of_ir_datasets(location: str) -> list[str]:
    """The subsets below a dataset; "", itself, where it has judgments of its own that they do not divide.

    Those below are then parts of it, such as folds, or other judgments of the same queries. Where one is `train` they
    divide it, and it is not read beside them.
    """
    import difflib

    import ir_datasets

    there = {name.removeprefix(location) for name in ir_datasets.registry if f"{name}/".startswith(f"{location}/")}
    if not there:
        near = difflib.get_close_matches(location, list(ir_datasets.registry), 4)
        raise UserError(
            f"--collection irds:{location}: ir_datasets knows no such id; near it: {', '.join(near) or 'nothing'}"
        )
    judged = {name.removeprefix("/") for name in there if ir_datasets.load(f"{location}{name}").has_qrels()}
    below = [name for name in judged if name and "/" not in name]
    return [""] if "" in judged and "train" not in below else below


def _of_hub(location: str) -> list[str]:
    from stages.collections import hub

    dataset = hub.dataset(location)
    config = next((name for name in ("default", "qrels") if name in dataset.configurations), None)
    if config and len(dataset.configurations) > 1:
        return [*dataset.splits(config)]
    there = [Path(name) for name in dataset.names if name.startswith(("qrels/", "default/"))]
    return sorted({path.name.partition(".")[0] for path in there if tables.form(path) in tables.FORMS})
