"""The card in a trained model's folder: its recipe and hashes, and nothing that differs between equal runs."""
import json

OFF = {"rslora": False, "dora": False, "cached": None, "regularizer": None, "select": "last", "patience": None}


def model_card(row: str, seed: int, tune: dict, fit: dict, start: dict, triplets_sha256: str) -> str:
    """Markdown for a model folder's README.md."""
    recipe = json.dumps({"seed": seed, "start": start, "tuning": said(tune), "recipe": said(fit),
                         "triplets_sha256": triplets_sha256}, indent=2)
    two = start["architecture"] == "asymmetric"
    towers = ("It has two towers: `encode_query` computes with the one, `encode_document` with the other.\n"
              if two else "")
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# {row}, seed {seed}

A retriever trained by this repository's `train` stage. Texts are cut at {start['tokens']} tokens; vectors have unit
length, so that the inner product is the cosine. Its figures stand in `reports/`; they are those of one seed.
{towers}
```json
{recipe}
```

```python
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("data/models/{row}/seed-{seed}")
{'''queries, passages = model.encode_query(["a query"]), model.encode_document(["a passage"])
''' if two else ''}```
"""


def said(block: dict) -> dict:
    """A block of params.yaml without the switches of OFF that are off, so that a card speaks of what was done."""
    return {name: said(value) if isinstance(value, dict) else value for name, value in block.items()
            if name not in OFF or value != OFF[name]}
