"""The asymmetric architecture: two towers, one for queries and one for passages."""

import copy
from pathlib import Path

from stages.models import settings, symmetric, towers
from stages.models.model_folder import Description


def build(folder: Path, description: Description) -> None:
    """Two towers of the same weights; a model that has two already keeps them.

    Normalisation to unit length comes after both. The folder is one that SentenceTransformer loads; its
    config.json, that of either tower, is read where an adapter to them is loaded.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize

    model = symmetric.load(folder, description)
    if "" in towers.parts(model):
        tower = [part for part in model if not isinstance(part, Normalize)]
        ends = [part for part in model if isinstance(part, Normalize)]
        model = settings.rebuilt(model, [towers.pair(tower, copy.deepcopy(tower)), *ends])
    symmetric.save(model, folder, description)
    body = towers.first(model, "query")
    if hasattr(body, "model"):
        body.model.config.save_pretrained(str(folder))
