"""The folder of a model: architecture.json says what the model is, the other files are what such a model needs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.files import publish

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Description:
    """The content of architecture.json. What an architecture does not have is empty here and absent in the file.

    architecture: one of those that params.yaml knows. Of weights: sha256 of the file as it was fetched, tokens, the
    length at which texts are cut, and the options of params.yaml that were set. Of BM25: k1 and b. Of a published run:
    the corpus and the split that it ranks.
    """

    architecture: str
    sha256: str = ""
    tokens: int = 0
    remote_code: bool = False
    pooling: str = ""
    random: bool = False
    query_tokens: int = 0
    dimension: int = 0
    k1: float = 0.0
    b: float = 0.0
    corpus: str = ""
    split: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What the file holds: the fields that are not empty."""
        return {name: value for name, value in asdict(self).items() if value}


def describe(folder: Path) -> Description:
    """The description of a checkpoint's or a model's folder."""
    return Description(**json.loads((folder / "architecture.json").read_text()))


def write(description: Description, folder: Path) -> None:
    """Put architecture.json into a folder."""
    (folder / "architecture.json").write_text(json.dumps(description.as_dict(), indent=2) + "\n")


def save(model: SentenceTransformer, folder: Path) -> None:
    """Put a model in the place of the folder that it was made from."""
    with publish(folder) as draft:
        model.save_pretrained(str(draft), create_model_card=False)


def seed_runs(variant: Path) -> list[Path]:
    """The folders of a variant's seed runs: seed-<n>, sorted; without fine-tuning its only model, pretrained."""
    return sorted(folder for folder in variant.iterdir() if folder.is_dir())
