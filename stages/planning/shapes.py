"""How large a model is: from its configuration where it lies on this machine, else from what is known of its name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from stages.core import paths
from stages.core.errors import UserError

WEIGHT = 4  # bytes, in float32
SIZES = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
GATED = ("modernbert", "new", "eurobert", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")


@dataclass(frozen=True)
class Shape:
    """A transformer. `inner` is the width between the two layers of a block's feed-forward part.

    `gated` says that a third matrix gates them. `known` is False for a model that is taken to be as large as BERT-base.
    """

    layers: int
    width: int
    inner: int
    vocabulary: int
    gated: bool = False
    known: bool = True

    @property
    def computed(self) -> int:
        """Weights that every token is multiplied with: attention's four matrices and the feed-forward part."""
        return self.layers * self.width * (4 * self.width + (3 if self.gated else 2) * self.inner)

    @property
    def weights(self) -> int:
        """All weights, but for positions, biases and norms."""
        return self.computed + self.vocabulary * self.width


BERT = Shape(12, 768, 3072, 30_522)
UNKNOWN = Shape(12, 768, 3072, 30_522, known=False)
# A pattern of a source's name -> its shape, as its config.json on the hub has it; the first that is found counts.
KNOWN = {
    r"minilm-?l-?12": Shape(12, 384, 1536, 30_522),
    r"minilm": Shape(6, 384, 1536, 30_522),
    r"bert_uncased_l-4_h-512": Shape(4, 512, 2048, 30_522),
    r"bert_uncased_l-8_h-512": Shape(8, 512, 2048, 30_522),
    r"modernbert-base": Shape(22, 768, 1152, 50_368, gated=True),
    r"gte-multilingual-base": Shape(12, 768, 3072, 250_048, gated=True),
    r"roberta-large": Shape(24, 1024, 4096, 50_265),
    r"bert-large": Shape(24, 1024, 4096, 30_522),
    r"bert-base|contriever": BERT,
}


def of(source: str) -> Shape:
    """The shape of a checkpoint's source: hub:<id>@<commit>, folder:<path> or package:<name>.

    Raises UserError for a configuration that is no JSON.
    """
    kind, _, place = source.partition(":")
    folder = paths.of_user(place) if kind == "folder" else None
    if folder and (found := _configured(folder)):
        return found
    name = place.partition("@")[0].lower()
    return next((shape for pattern, shape in KNOWN.items() if re.search(pattern, name)), UNKNOWN)


def _configured(folder: Path) -> Shape | None:
    """The shape that a folder's configuration says; None where it has none of a transformer."""
    for path in (folder / "config.json", *sorted(folder.glob("*/config.json"))):
        if path.is_file():
            try:
                told = json.loads(path.read_text())
            except ValueError as error:
                raise UserError(f"{path}: not valid JSON ({error}); fetch the model again")
            if isinstance(told, dict) and all(isinstance(told.get(key), int) for key in SIZES):
                layers, width, inner, vocabulary = (told[key] for key in SIZES)
                return Shape(layers, width, inner, vocabulary, gated=told.get("model_type") in GATED)
    return None
