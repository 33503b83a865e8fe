"""Repositories of adapters: what they adapt is fetched as well, and merged with them into one model of float32."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import UserError
from stages.models import module_paths, repository_files

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG = "adapter_config.json"
MOVING = (None, "main")  # revisions that pin nothing
TASKS = {"SEQ_CLS": "sequence-classification", "CAUSAL_LM": "text-generation"}
PLAIN = "feature-extraction"  # a transformer without a head
NETWORK = ("config.json", "generation_config.json")  # what a base gives where the adapter brings its own tokenizer
MODULES = ("modules.json", "router_config.json", "config_sentence_transformers.json")


def places(folder: Path) -> list[Path]:
    """The folders of a model, its root or those of its modules, that hold an adapter."""
    paths = (folder / name for name in sorted({".", *module_paths.read(folder)}))
    return [path for path in paths if (path / CONFIG).is_file()]


def has_base(place: Path) -> bool:
    """Whether the weights that an adapter adapts are next to it."""
    return any(repository_files.is_base_weights(path.name) for path in place.iterdir())


def pinned_base(place: Path) -> str:
    """The source of the base that an adapter's configuration pins; UserError where it does not pin one."""
    known = json.loads((place / CONFIG).read_text())
    name, revision = known.get("base_model_name_or_path"), known.get("revision")
    if not name or revision in MOVING or Path(name).exists():
        said = f"names its base {name} without a revision" if name else "does not name its base"
        raise UserError(
            f"adapter_base: this source is an adapter alone, which {said}; say adapter_base: hub:<id>@<commit> or "
            f"folder:<path>"
        )
    return f"hub:{name}@{revision}"


def base_files(base: Path, place: Path) -> tuple[Path, Path, list[str]]:
    """Where the transformer of a base is, the folder of the adapter, and the names of the files to copy there.

    They are the transformer's, and its tokenizer's unless the adapter brings one: as sentence-transformers loads an
    adapter's repository, whose modules and settings are its own. Raises UserError for a base without a transformer.
    """
    roots = [base / name for name in (".", *module_paths.read(base)) if (base / name / "config.json").is_file()]
    if not roots or not has_base(roots[0]):
        raise UserError("adapter_base: holds no transformer with weights (config.json and model.safetensors)")
    names = repository_files.wanted([path.name for path in roots[0].iterdir() if path.is_file()], ())
    tokenized = any(repository_files.is_tokenizer(path.name) for path in place.iterdir())
    chosen = [name for name in names if _is_network(name) or not (tokenized or _is_module(name))]
    return roots[0], place, [name for name in chosen if not (place / name).exists()]


def _is_network(name: str) -> bool:
    weights = repository_files.is_base_weights(name) or name in repository_files.INDEXES
    return weights or name in NETWORK or name.endswith(".py")


def _is_module(name: str) -> bool:
    return name in MODULES or name.startswith(("sentence_", "adapter_"))


def merge(folder: Path, remote_code: bool) -> None:
    """Merge each adapter of a fetched folder into the weights next to it, in float32, and leave the sum in their place.

    Does nothing for a folder without adapters. Raises UserError for an adapter that does not fit its base.
    """
    for place in places(folder):
        kept = {path: path.read_bytes() for path in place.glob("*.py")}
        known = json.loads((place / "config.json").read_text())
        with tempfile.TemporaryDirectory() as aside:
            for path in place.glob("adapter_*"):
                shutil.move(path, aside)
            task, merged = _merged(place, Path(aside), remote_code)
        for path in [*place.iterdir()]:
            if repository_files.is_base_weights(path.name) or path.name in repository_files.INDEXES:
                path.unlink()
        merged.save_pretrained(str(place))
        for path, content in kept.items():
            path.write_bytes(content)
        if task == PLAIN and "architectures" in known:
            _name_architectures(place / "config.json", known["architectures"])


def _name_architectures(path: Path, architectures: list[str]) -> None:
    """Set what a config.json says a network was trained as, by which sentence-transformers chooses a pooling."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": architectures}, indent=2) + "\n")


def _merged(base: Path, adapter: Path, remote_code: bool) -> tuple[str, PreTrainedModel]:
    """The network of a folder with an adapter in its weights, and the task that its head is for.

    It is the class that the adapter's task_type names, or else the one whose layers have the names of the adapter's.
    """
    known = json.loads((adapter / CONFIG).read_text())
    named = TASKS.get(known.get("task_type") or "", PLAIN)
    reasons = []
    for task in dict.fromkeys([named, PLAIN, "text-generation"]):
        try:
            merged = _merged_as(task, base, adapter, remote_code)
        except (ValueError, RuntimeError, KeyError) as error:
            reasons.append(" ".join(str(error).split())[:200])
        else:
            return (task, merged) if task == named else (PLAIN, merged.base_model)
    raise UserError(
        f"adapter_base: the adapter does not fit this base ({reasons[0]}); name the base that it was trained on"
    )


def _merged_as(task: str, base: Path, adapter: Path, remote_code: bool) -> PreTrainedModel:
    """The network of a task with an adapter merged; ValueError or RuntimeError where one does not fit the other."""
    import torch
    from peft import PeftConfig, PeftModel
    from sentence_transformers.base.modules import Transformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    options = {"local_files_only": True, "trust_remote_code": remote_code}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # of parts that neither has
        body = Transformer(
            str(base),
            transformer_task=task,
            model_kwargs={"dtype": torch.float32, **options},
            processor_kwargs=dict(options),
            config_kwargs=dict(options),
        ).model.float()
        config = PeftConfig.from_pretrained(str(adapter))
        config.task_type = None
        both = PeftModel(body, config)
        report = both.load_adapter(str(adapter), "default")
    if unfit := sorted([*report.unexpected_keys, *report.missing_keys]):
        raise ValueError(f"{len(unfit)} weights are in one of them alone, as {unfit[0]}")
    return both.merge_and_unload()
