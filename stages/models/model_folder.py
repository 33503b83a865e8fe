"""The folder of a model: architecture.json says what the model is, the other files are what such a model needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.files import publish

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


NAME = "architecture.json"


@dataclass(frozen=True)
class Description:
    """The content of architecture.json. What an architecture does not have is empty here and absent in the file.

    architecture: one of those that params.yaml knows. Of weights: sha256 of them as they were fetched, and the options
    of params.yaml that were set (0 tokens, no prompts, no similarity and 0 layers are the model's own). Of BM25: k1 and
    b. Of a published run: the corpus and the split that it ranks.
    """

    architecture: str
    sha256: str = ""
    tokens: int = 0
    remote_code: bool = False
    pooling: str = ""
    random: bool = False
    query_tokens: int = 0
    passage_tokens: int = 0
    prompts: Mapping[str, str] = field(default_factory=dict)
    similarity: str = ""
    dimension: int = 0
    layers: int = 0
    k1: float = 0.0
    b: float = 0.0
    corpus: str = ""
    split: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What the file holds: the fields that are not empty."""
        return {name: value for name, value in asdict(self).items() if value}


def describe(folder: Path) -> Description:
    """The description of a checkpoint's or a model's folder."""
    return Description(**json.loads((folder / NAME).read_text()))


def write(description: Description, folder: Path) -> None:
    """Put architecture.json into a folder."""
    (folder / NAME).write_text(json.dumps(description.as_dict(), indent=2) + "\n")


def save(model: SentenceTransformer, folder: Path) -> None:
    """Put a model in the place of the folder that it was made from."""
    with publish(folder) as draft:
        model.save_pretrained(str(draft), create_model_card=False)


@contextmanager
def replacing(folder: Path, remote_code: bool) -> Iterator[Path]:
    """A draft of a folder that takes its place; the model's own code, where it may run, goes into it as well."""
    with publish(folder) as draft:
        yield draft
        for path in folder.glob("*.py") if remote_code else []:
            shutil.copy(path, draft)


def seed_runs(variant: Path) -> list[Path]:
    """The folders of a variant's seed runs: seed-<n>, sorted; without fine-tuning its only model, pretrained."""
    return sorted(folder for folder in variant.iterdir() if folder.is_dir())
