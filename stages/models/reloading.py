"""Whether a saved model is the one that was in memory: it is loaded plainly, as its users will, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.core.errors import UserError
from stages.models import caps, encoding, model_folder, settings, towers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXTS = [
    "What is the capital of France?",
    "paris is the CAPITAL of France , and its largest city",
    "Die Hauptstadt von Frankreich ist Paris; 法国的首都是巴黎。",
    "def search(query, depth=10): return index.top(query, depth)",
    "A long passage is cut where the model cuts it. " * 60,
]
TOLERANCE = 1e-5  # of a vector's length: the same batches, on the same machine
BATCHING = 1e-3  # of a vector's length: more than a batch's shape does to the last bits
BATCH_TOKENS = 4096


def check(model: SentenceTransformer, folder: Path) -> None:
    """Raises UserError where a folder does not give back the model that was saved to it.

    A fresh SentenceTransformer of the folder, loaded as the library does by itself, must have the settings of `model`
    and its vectors, in the same batches: another batch alone may move a vector by TOLERANCE. One that moves it by more
    than BATCHING is an error as well: the network reads the padding, and ranks would be those of the batches.
    """
    from sentence_transformers import SentenceTransformer

    described = (folder / model_folder.NAME).exists() and model_folder.describe(folder).remote_code
    plain = SentenceTransformer(
        str(folder), device=str(model.device), local_files_only=True, trust_remote_code=described
    ).eval()
    for name, mine, saved in _settings(model, plain):
        if mine != saved:
            raise UserError(f"{folder}: was saved with {name} {mine!r} and loads with {saved!r}")
    for role in towers.ROLES:
        mine, saved = (encoding.encode(each, TEXTS, BATCH_TOKENS, role=role) for each in (model, plain))
        longest = max(1.0, np.linalg.norm(mine, axis=1).max())
        gap = np.abs(mine - saved).max() / longest
        if not gap <= TOLERANCE:
            raise UserError(
                f"{folder}: the saved model is not the one that was measured: the vectors of a {role} differ by "
                f"{gap:.1e} when it is loaded plainly"
            )
        gap = np.abs(mine - encoding.encode(model, TEXTS, 1, role=role)).max() / longest
        if not gap <= BATCHING:
            raise UserError(
                f"{folder}: the vector of a {role} depends on the texts that it is encoded with, by {gap:.1e}: this "
                f"network reads padding and cannot be measured; a decoder that counts positions from the left needs "
                f'padding_side "right" in its tokenizer_config.json'
            )


def _settings(model: SentenceTransformer, plain: SentenceTransformer) -> list[tuple[str, object, object]]:
    """Name, value of the model in memory, value of the loaded one, of all that is no weight."""
    pairs: list[tuple[str, object, object]] = [
        ("the default prompt", model.default_prompt_name, plain.default_prompt_name),
        ("similarity", model.similarity_fn_name, plain.similarity_fn_name),
        ("dimension", model.get_embedding_dimension(), plain.get_embedding_dimension()),
    ]
    for role in towers.ROLES:
        pairs.append((f"the prompt of a {role}", settings.prompt(model, role), settings.prompt(plain, role)))
        pairs.append((f"the length of a {role}", caps.of(model, role), caps.of(plain, role)))
    return pairs
