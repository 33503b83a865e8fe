"""The asymmetric architecture: two towers, one for queries and one for passages."""

import copy
from pathlib import Path

from stages.models import model_folder, symmetric, towers
from stages.models.model_folder import Description


def build(folder: Path, description: Description) -> None:
    """Two towers of the same weights; an empty `pooling` is the model's own, or else mean.

    Normalisation to unit length comes after both. The folder is one that SentenceTransformer loads; its
    config.json, that of either tower, is read where an adapter to them is loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    parts = symmetric.modules(folder, description)
    tower = [part for part in parts if not isinstance(part, Normalize)]
    ends = [part for part in parts if isinstance(part, Normalize)]
    model_folder.save(SentenceTransformer(modules=[towers.pair(tower, copy.deepcopy(tower)), *ends]), folder)
    tower[0].model.config.save_pretrained(str(folder))
