"""What the files of a retriever that is on this machine say of it, read without loading it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.models import local_weights, module_paths, settings

FILE = "config_sentence_transformers.json"
LENGTHS = "sentence_bert_config.json"
UNBOUNDED = 10**9  # tokenizers say more than this for no limit


def similarity(source: str) -> str | None:
    """The similarity, cosine or dot, of a folder: or package: source; None where it is elsewhere.

    A model that normalises last is searched by cosine also where its files say dot. Raises UserError for a package that
    is not installed.
    """
    folder = _folder(source)
    if folder is None or not (folder / FILE).is_file():
        return None
    modules = list(module_paths.read(folder).values())
    normalizes = bool(modules) and modules[-1].endswith(".Normalize")
    said = json.loads((folder / FILE).read_text()).get("similarity_fn_name")
    return "dot" if said in ("dot", "dot_product") and not normalizes else "cosine"


def configs(source: str) -> list[dict[str, Any]]:
    """config.json of each transformer of a folder: or package: source; none where it is elsewhere.

    Raises UserError for a package that is not installed.
    """
    folder = _folder(source)
    places = [] if folder is None else [folder / place for place in sorted({".", *module_paths.read(folder)})]
    read = [json.loads((place / "config.json").read_text()) for place in places if (place / "config.json").is_file()]
    return [config for config in read if "model_type" in config]


@dataclass(frozen=True)
class Reading:
    """How a saved model reads texts: what is put before them, how they are compared, and after how many tokens cut.

    `similarity` is None for a cross-encoder, tokens are None where the files name no length. `trained_in` is the
    precision that its training computed in, None for a model that this study did not train.
    """

    query_prompt: str
    passage_prompt: str
    similarity: str | None
    query_tokens: int | None
    passage_tokens: int | None
    trained_in: str | None = None


def reading(folder: Path) -> Reading | None:
    """How the model of a folder that sentence-transformers wrote reads texts; None for any other folder."""
    if not (folder / FILE).is_file():
        return None
    said = json.loads((folder / FILE).read_text())
    prompts, default = said.get("prompts") or {}, said.get("default_prompt_name")
    together = said.get("model_type") == "CrossEncoder"
    always = {"query": "", "document": "", **prompts}  # the library gives every retriever these two
    query, passage = (settings.chosen(always, default, role) for role in ("query", "document"))
    if together:
        query, passage = prompts.get(default or "") or "", ""
    tokens = _length(folder, "query"), _length(folder, "document")
    similarity = None if together else said.get("similarity_fn_name", "cosine")
    return Reading(query, passage, similarity, *tokens, _trained_in(folder))


def _trained_in(folder: Path) -> str | None:
    recipe = folder / "recipe.json"
    return json.loads(recipe.read_text()).get("recipe", {}).get("precision") if recipe.is_file() else None


def _length(folder: Path, role: str) -> int | None:
    """Where the first module for texts of a role, "query" or "document", cuts them."""
    places = [place for place in {".": "", **module_paths.read(folder)} if (folder / place / LENGTHS).is_file()]
    place = next((place for place in places if place.startswith(role)), next(iter(places), None))
    if place is None:
        return None
    said = json.loads((folder / place / LENGTHS).read_text())
    expansion = said.get("query_expansion") or {}
    if role == "query" and expansion.get("strategy") == "fixed":
        return int(expansion["length"])
    tokenizer = folder / place / "tokenizer_config.json"
    longest = json.loads(tokenizer.read_text()).get("model_max_length") if tokenizer.is_file() else None
    length = said.get(f"{role}_length") or said.get("max_seq_length") or longest
    return int(length) if length and length < UNBOUNDED else None


def _folder(source: str) -> Path | None:
    kind, _, name = source.partition(":")
    if kind not in ("folder", "package"):
        return None
    return paths.of_user(name) if kind == "folder" else local_weights.package_folder(name)
