"""Which of a repository's files a model is loaded from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import PurePosixPath

SETTINGS = {".json", ".txt", ".metadata", ".py", ".jinja"}  # endings of configurations, code, and chat templates
SETTINGS |= {".model", ".tiktoken", ".codes", ".vocab", ".spm", ".bpe", ".tokenizer"}  # and of tokenizers
TOKENIZERS = re.compile(r"(tokenizer|vocab|merges|spiece|sentencepiece)[\w.-]*")  # whatever their ending is
NEEDLESS = re.compile(
    r"(README|LICENSE|NOTICE|ort_config|openvino).*"
    r"|(trainer_state|data_config|modelcard|.*_results|.*\.index)\.json",
    re.IGNORECASE,
)
UNLOADED = (".h5", ".msgpack", ".onnx", ".gguf", ".ot", ".pt", ".pth")  # weights that nothing here loads
TEMPLATES = "additional_chat_templates"  # a folder next to the tokenizer
MODULE_FOLDER = re.compile(r"(\w+_)?\d+_\w+")  # as sentence-transformers names them
WEIGHTS = (  # what transformers looks for in a folder, in that order: one file, or shards and their index
    (r"model\.safetensors", ""),
    (r"model-\d+-of-\d+\.safetensors", "model.safetensors.index.json"),
    (r"pytorch_model\.bin", ""),
    (r"pytorch_model-\d+-of-\d+\.bin", "pytorch_model.bin.index.json"),
)
ADAPTER = ((r"adapter_model\.safetensors", ""), (r"adapter_model\.bin", ""))
INDEXES = frozenset(index for _, index in WEIGHTS if index)


def wanted(files: Collection[str], folders: Collection[str] | None = None) -> list[str]:
    """Those of a repository's files that a model is loaded from, sorted.

    files: relative paths, as a hub lists them. folders: those that modules.json names (module_paths.read), None for
    those whose names are like those that sentence-transformers gives. Of the root and of each such folder, with all
    that is below it: settings, tokenizers, chat templates, code, and weights in one form, safetensors before .bin.
    A repository with code at its root may read further folders: those with code or an adapter come as well. What is
    left out: weights of other frameworks, exports, states of training, texts and pictures.
    """
    by_folder: dict[str, set[str]] = defaultdict(set)
    for file in files:
        by_folder[PurePosixPath(file).parent.as_posix()].add(PurePosixPath(file).name)
    has_code = any(name.endswith(".py") for name in by_folder["."])
    chosen = []
    for folder, names in by_folder.items():
        read_by_code = has_code and ("adapter_config.json" in names or any(name.endswith(".py") for name in names))
        if _holds_modules(folder, folders) or (read_by_code and not _is_left_out(folder)):
            chosen += [(PurePosixPath(folder) / name).as_posix() for name in _of_one_folder(names)]
    return sorted(chosen)


def is_weights(file: str) -> bool:
    """Whether a file of this name or path holds weights that are loaded, whole or a shard of them."""
    return any(re.fullmatch(pattern, PurePosixPath(file).name) for pattern, _ in (*WEIGHTS, *ADAPTER))


def is_base_weights(name: str) -> bool:
    """Whether a file of this name holds weights of a network and not of an adapter to one."""
    return any(re.fullmatch(pattern, name) for pattern, _ in WEIGHTS)


def is_tokenizer(name: str) -> bool:
    """Whether a file of this name is a tokenizer's."""
    return bool(TOKENIZERS.fullmatch(name))


def is_like_weights(name: str) -> bool:
    """Whether a file holds weights of any kind, loaded or not."""
    return PurePosixPath(name).suffix in (".safetensors", ".bin", *UNLOADED)


def without_weights(files: Collection[str]) -> str:
    """A line on a model of which no weights are loaded here, from the relative paths of its files."""
    others = sorted(file for file in files if is_like_weights(file))
    found = f"only {', '.join(others[:5])}" if others else f"{', '.join(sorted(files)[:5]) or 'no files'}"
    return (
        f"no weights came with it: they are in model.safetensors, pytorch_model.bin or their shards, and it has "
        f"{found}; name a source that has them"
    )


def _holds_modules(folder: str, folders: Collection[str] | None) -> bool:
    if folder in (".", TEMPLATES):
        return True
    if _is_left_out(folder):
        return False
    if folders is None:
        return bool(MODULE_FOLDER.fullmatch(folder.partition("/")[0]))
    return any(PurePosixPath(folder).is_relative_to(named) for named in folders if named != ".")


def _is_left_out(folder: str) -> bool:
    """Exports, states of training and hidden folders, wherever they are."""
    return any(part.startswith((".", "checkpoint-", "onnx", "openvino", "coreml", "__")) for part in folder.split("/"))


def _of_one_folder(names: set[str]) -> set[str]:
    settings = {
        name
        for name in names
        if not name.startswith(".")
        and not NEEDLESS.fullmatch(name)
        and not is_like_weights(name)
        and (PurePosixPath(name).suffix in SETTINGS or TOKENIZERS.fullmatch(name))
    }
    return settings | _weights(names, WEIGHTS) | _weights(names, ADAPTER)


def _weights(names: set[str], forms: tuple[tuple[str, str], ...]) -> set[str]:
    """The weights of the first form that a folder has, and their index; indexes alone if it has no more."""
    for pattern, index in forms:
        if found := {name for name in names if re.fullmatch(pattern, name)}:
            return found | ({index} & names)
    return names & {index for _, index in forms}
