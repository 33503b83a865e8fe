"""Weights between two models of one architecture."""
from pathlib import Path


def ends(start: Path, trained: Path) -> tuple[dict, dict]:
    """The weights of a checkpoint and of a model trained from it, by name; tensors that both have."""
    from stages.models import encoding
    both = [dict(encoding.load_encoder(folder).named_parameters()) for folder in (start, trained)]
    return tuple({name: weights.detach().clone() for name, weights in model.items()} for model in both)


def put_between(model, start: dict, trained: dict, alpha: float) -> None:
    """Set every weight of a model to start + alpha x (trained - start).

    Exactly the start's at 0 and the trained ones at 1. WiSE-FT, Wortsman et al. 2022 (arXiv 2109.01903).
    """
    import torch
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.copy_(start[name] if alpha == 0 else trained[name] if alpha == 1
                          else torch.lerp(start[name], trained[name], alpha))


def card(row: str, copy: str, alpha: float) -> str:
    """Markdown for a model folder's README.md."""
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# {row}, {copy}

A retriever between a checkpoint and a model that was trained from it: start + {alpha:g} x (trained - start), weight by
weight. Its figures stand in `reports/`.

```python
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("data/models/{row}/{copy}")
```
"""
