"""Scores of passages by a model's folder, loaded as anybody loads it: a program that imports nothing of this study.

It reads one JSON object from its standard input: {"folder", "loader" (a class of sentence-transformers), "backend",
"remote_code", "write" (a folder or null), "queries", "passages" (for each query a list), "out"}. It writes the scores,
a list for each query, to `out`; with `write` the model is saved there first, as it was loaded.
"""

import json
import sys
from pathlib import Path
from typing import Any

TOGETHER = 32


def loaded(asked: dict[str, Any]) -> Any:
    """The model of a folder by the library's class, in its backend; the model's own code runs only where it is said."""
    import sentence_transformers

    options: dict[str, Any] = {"backend": asked["backend"]} if asked["backend"] != "torch" else {}
    if asked["backend"] != "torch":
        options["model_kwargs"] = {"export": bool(asked["write"])}
    if asked["remote_code"]:
        options["trust_remote_code"] = True
    return getattr(sentence_transformers, asked["loader"])(asked["folder"], local_files_only=True, **options)


def scores(model: Any, queries: list[str], passages: list[list[str]]) -> list[list[float]]:
    """For each query the scores of its passages: of a cross-encoder its logits, of others the model's similarity."""
    import torch

    if hasattr(model, "predict"):
        pairs = [(query, text) for query, texts in zip(queries, passages, strict=True) for text in texts]
        flat = model.predict(pairs, batch_size=TOGETHER, show_progress_bar=False, activation_fn=torch.nn.Identity())
        left = iter(map(float, flat))
        return [[next(left) for _ in texts] for texts in passages]
    vectors = model.encode_query(queries, batch_size=TOGETHER, show_progress_bar=False)
    made = []
    for at, texts in enumerate(passages):
        others = model.encode_document(texts, batch_size=TOGETHER, show_progress_bar=False)
        made.append([float(score) for score in model.similarity(vectors[at : at + 1], others)[0]])
    return made


def main() -> None:
    """Read what is asked, and write the scores."""
    asked = json.loads(sys.stdin.read())
    model = loaded(asked)
    if asked["write"]:
        model.save_pretrained(asked["write"], create_model_card=False)
    Path(asked["out"]).write_text(json.dumps(scores(model, asked["queries"], asked["passages"])))


if __name__ == "__main__":
    main()
