"""Adapters that peft cannot merge: the model is deployed as its base checkpoint with the adapter beside it.

sentence-transformers loads such a folder plainly, wherever it lies: the configuration of the transformer names adapter/
next to its weights, by transformers' own `adapter_kwargs`.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from stages.models import repository_files, towers

ADAPTER = "adapter"
NOTE = ".tower-"  # of a file that says for a moment which tower is in a folder
READING = "sentence_bert_config.json"


def remain(model: Any) -> bool:
    """Whether a model has adapters in layers of their own on its transformers."""
    return any(getattr(getattr(body, "model", None), "peft_config", None) for body in towers.bodies(model).values())


def write(model: Any, checkpoint: Path, folder: Path) -> None:
    """Write a model with adapters, which are in folder/adapter, on the weights of its base checkpoint.

    The library would write adapters alone, which name their base by a path of this machine.
    """
    for tower, body in towers.bodies(model).items():
        body.model.save_pretrained = partial(_write_base, checkpoint, folder, tower)
    model.save_pretrained(str(folder), create_model_card=False)
    for body in towers.bodies(model).values():
        del body.model.save_pretrained
    for tower in towers.bodies(model):
        (note,) = folder.rglob(f"{NOTE}{tower}")
        place = note.parent
        note.unlink()
        reading = json.loads((place / READING).read_text())
        subfolder = (Path(ADAPTER) / tower).as_posix()
        reading["model_kwargs"] = {**reading.get("model_kwargs", {}), "adapter_kwargs": {"subfolder": subfolder}}
        (place / READING).write_text(json.dumps(reading, indent=4) + "\n")
    if not (folder / "config.json").exists():
        shutil.copy(checkpoint / "config.json", folder)  # by which transformers knows that the base is here


def _write_base(checkpoint: Path, folder: Path, tower: str, place: str, **options: Any) -> None:
    """Copy the transformer of a checkpoint to the same place of a folder, and note there which tower it is."""
    target = Path(place)
    for path in (checkpoint / target.relative_to(folder)).iterdir():
        if repository_files.is_base_weights(path.name) or path.name in ("config.json", *repository_files.INDEXES):
            shutil.copy(path, target)
    (target / f"{NOTE}{tower}").touch()
