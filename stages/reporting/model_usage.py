"""How to load a trained model of each architecture with sentence-transformers, and what its scores are."""

from stages.models.local_settings import Reading
from stages.reporting import markdown, readings

LOADERS = {
    "symmetric": "SentenceTransformer",
    "asymmetric": "SentenceTransformer",
    "late-interaction": "MultiVectorEncoder",
    "cross-encoder": "CrossEncoder",
}
WORDS = {
    "symmetric": "",
    "asymmetric": "`encode_query` computes with one tower, `encode_document` with the other. ",
    "late-interaction": "A passage's score is the sum over the query's tokens of the largest inner product with a "
    "token of the passage. ",
    "cross-encoder": "It gives one number for each pair; a higher one means more relevant. ",
}
BY_VECTORS = 'model.similarity(model.encode_query(["a query"]), model.encode_document(["a passage", "another"]))'
BY_PAIRS = 'model.predict([("a query", "a passage"), ("a query", "another")])'


def words(architecture: str, reading: Reading | None) -> str:
    """What the scores are, and what is put before texts, in Markdown; without a reading, that a prompt may be."""
    return WORDS[architecture] + _prompts(architecture, reading)


def _prompts(architecture: str, reading: Reading | None) -> str:
    puts = "`predict` puts" if architecture == "cross-encoder" else "`encode_query` and `encode_document` put"
    if reading is None:
        return f"Where the model has prompts, {puts} them before the texts."
    query, passage = (
        markdown.inline(readings.in_words(text)) for text in (reading.query_prompt, reading.passage_prompt)
    )
    if not reading.query_prompt and not reading.passage_prompt:
        return "Queries and passages take no prompt."
    if architecture == "cross-encoder":
        return f"{puts} {query} before a query."
    return f"{puts} {query} before a query and {passage} before a passage."


def snippet(architecture: str, folder: str, remote_code: bool = False) -> str:
    """Lines of Python that load a model's folder and score two passages for a query."""
    loader = LOADERS[architecture]
    trusted = ", trust_remote_code=True" if remote_code else ""
    scores = BY_PAIRS if architecture == "cross-encoder" else BY_VECTORS
    return f"""from sentence_transformers import {loader}
model = {loader}("{folder}"{trusted})  # or the name it was published under
scores = {scores}
"""
