"""Vectors before any normalisation makes them unit."""
import numpy as np


def of_passages(model, texts: list[str]) -> np.ndarray:
    """What a SentenceTransformer's passage side gives the texts without its Normalize, float32 (texts, dimension)."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    body = [part for part in model if not isinstance(part, Normalize)]
    raw = SentenceTransformer(modules=body, device=str(model.device)).eval()
    return raw.encode_document([text.strip() for text in texts], prompt="", show_progress_bar=False)
