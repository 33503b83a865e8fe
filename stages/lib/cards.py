"""The card in a trained model's folder: its recipe and hashes, and nothing that differs between equal runs."""
import json


def model_card(row: str, seed: int, tune: dict, fit: dict, start: dict, triplets_sha256: str) -> str:
    """Markdown for a model folder's README.md."""
    recipe = json.dumps({"seed": seed, "start": start, "tune": tune, "fit": fit,
                         "triplets_sha256": triplets_sha256}, indent=2)
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# {row}, seed {seed}

A retriever trained by this repository's `train` stage. Texts are cut at {start['tokens']} tokens; vectors have unit
length, so that the inner product is the cosine. Its figures stand in `reports/`; they are those of one seed.

```json
{recipe}
```

```python
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("data/models/{row}/seed-{seed}")
```
"""
