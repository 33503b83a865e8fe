"""How to load a trained model of each architecture with sentence-transformers, and what its scores are."""

LOADERS = {
    "symmetric": "SentenceTransformer",
    "asymmetric": "SentenceTransformer",
    "late-interaction": "MultiVectorEncoder",
    "cross-encoder": "CrossEncoder",
}
WORDS = {
    "symmetric": "Queries and passages take no prefix.",
    "asymmetric": "`encode_query` computes with one tower, `encode_document` with the other; they take no prefix.",
    "late-interaction": "A passage's score is the sum over the query's tokens of the largest inner product with a "
    "token of the passage.",
    "cross-encoder": "It gives one number for each pair; a higher one means more relevant.",
}
BY_VECTORS = 'model.similarity(model.encode_query(["a query"]), model.encode_document(["a passage", "another"]))'
BY_PAIRS = 'model.predict([("a query", "a passage"), ("a query", "another")])'


def snippet(architecture: str, folder: str, remote_code: bool = False) -> str:
    """Lines of Python that load a model's folder and score two passages for a query."""
    loader = LOADERS[architecture]
    trusted = ", trust_remote_code=True" if remote_code else ""
    scores = BY_PAIRS if architecture == "cross-encoder" else BY_VECTORS
    return f"""from sentence_transformers import {loader}
model = {loader}("{folder}"{trusted})  # or the name it was published under
scores = {scores}
"""
