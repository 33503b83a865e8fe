"""The card in a trained late-interaction folder: its recipe and hashes, and nothing that differs between equal runs."""
import json


def model_card(row: str, seed: int, tune: dict, fit: dict, start: dict, triplets_sha256: str) -> str:
    """Markdown for a late-interaction folder's README.md."""
    recipe = json.dumps({"seed": seed, "start": start, "tuning": tune, "recipe": fit,
                         "triplets_sha256": triplets_sha256}, indent=2)
    queries = start.get("query_tokens") or start["tokens"]
    return f"""---
library_name: sentence-transformers
pipeline_tag: text-ranking
---
# {row}, seed {seed}

Late interaction trained by this repository's `train-reranker` stage. Each token of a text has a vector of unit
length; a passage's score is the sum over the query's tokens of the largest inner product with a token of the passage.
Queries are cut at {queries} tokens, passages at {start['tokens']}. Its figures stand in `reports/`; they are those of
one seed.

```json
{recipe}
```

```python
from sentence_transformers import MultiVectorEncoder
model = MultiVectorEncoder("data/models/{row}/seed-{seed}")
```
"""
