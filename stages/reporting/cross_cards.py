"""The card in a trained reranker's folder: its recipe and hashes, and nothing that differs between equal runs."""
import json


def model_card(row: str, seed: int, tune: dict, fit: dict, start: dict, triplets_sha256: str) -> str:
    """Markdown for a reranker folder's README.md."""
    recipe = json.dumps({"seed": seed, "start": start, "tuning": tune, "recipe": fit,
                         "triplets_sha256": triplets_sha256}, indent=2)
    remote = ", trust_remote_code=True" if start.get("remote_code") else ""
    return f"""---
library_name: sentence-transformers
pipeline_tag: text-ranking
---
# {row}, seed {seed}

A cross-encoder trained by this repository's `train-reranker` stage. It reads a query and a passage together, cut at
{start['tokens']} tokens, and gives one number; a higher one means more relevant. Its figures stand in `reports/`; they
are those of one seed.

```json
{recipe}
```

```python
from sentence_transformers import CrossEncoder
model = CrossEncoder("data/models/{row}/seed-{seed}"{remote})
```
"""
