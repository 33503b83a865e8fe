"""Late interaction: a vector for each token of a text, and MaxSim between a query's vectors and a passage's."""
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.models import model_folder
from stages.models.encoding import autocast, batches
from stages.core.errors import UserError

CHUNK = 2 ** 22  # numbers that the comparison of a batch's pairs holds at once


def build(folder: Path, tokens: int, query_tokens: int | None, dimension: int | None, seed: int = 0) -> None:
    """Turn a folder of an encoder (config.json, weights, tokenizer) into one that MultiVectorEncoder loads, in place.

    It becomes: config.json, model.safetensors (float32) and the tokenizer, of the encoder; sentence_bert_config.json
    with document_length `tokens` and query_length `query_tokens` (`tokens` where there is none), at which texts are
    cut; 1_Dense/, a linear layer without bias to `dimension` numbers, its weights drawn uniformly within
    1/sqrt(inputs) from `seed` (no such folder where `dimension` is None: then a token's vector is the encoder's);
    then the mask of padding and unit length (1_ and 2_, or 2_ and 3_); modules.json, which lists them. Pooling and
    what else was in the folder is gone. Queries are not padded with mask tokens, no markers are put before texts, and
    punctuation is kept. The same on every machine; torch's own random numbers are left where they were. Raises UserError
    where the folder holds no encoder.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: holds no encoder (config.json); late interaction starts from a body like BERT's")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        body = Transformer(str(folder), max_seq_length=tokens, document_length=tokens,
                           query_length=query_tokens or tokens,
                           model_kwargs={"dtype": torch.float32, "local_files_only": True})
        if body.module_output_name != "token_embeddings":
            raise UserError(f"{folder}: its model gives no vector a token; start from a body like BERT's")
        parts = [body]
        if dimension:
            width = body.get_embedding_dimension()
            drawn = torch.rand((dimension, width), generator=torch.Generator().manual_seed(seed))
            parts.append(Dense(width, dimension, bias=False, activation_function=torch.nn.Identity(),
                               init_weight=(2 * drawn - 1) / width ** 0.5, module_input_name="token_embeddings"))
    model = MultiVectorEncoder(modules=[*parts, MultiVectorMask(), Normalize(module_input_name="token_embeddings")],
                               device="cpu", similarity_fn_name="maxsim")
    made = folder / ".made"
    model.save_pretrained(str(made), create_model_card=False)
    for old in set(folder.iterdir()) - {made}:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for new in made.iterdir():
        new.rename(folder / new.name)
    made.rmdir()


def load(folder: Path):
    """A MultiVectorEncoder from a folder with architecture.json, on the GPU where there is one, in float32.

    Raises UserError where the folder does not say that it is of shape late.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from transformers.utils import logging
    logging.disable_progress_bar()
    if (shape := model_folder.describe(folder)["architecture"]) != "late":
        raise UserError(f"{folder}: is of shape {shape}, not late")
    return MultiVectorEncoder(str(folder), local_files_only=True, model_kwargs={"dtype": torch.float32}).eval()


def score(model, queries: list[str], passages: list[str], batch_tokens: int, precision: str = "float32",
          tick: Callable[[int], None] = lambda n: None) -> np.ndarray:
    """MaxSim of each pair (queries[i], passages[i]) as float32 of shape (pairs,), Khattab and Zaharia 2020.

    The sum over a query's tokens of the largest inner product with a token of the passage; vectors have unit length.
    Texts of the same tokens are encoded once, and the same pair of them is compared once, so that equals are equal to
    the bit. Batches hold texts of like token length, at most `batch_tokens` tokens with padding. What is held: the
    token vectors of all queries of the call (4 x tokens x dimension bytes), those of one batch of passages, and CHUNK
    numbers of comparison. Below `precision` float32 the layers compute in it (autocast), and the vectors are normalised
    and compared in float32. `tick` is told how many pairs each batch finished. Raises UserError where a score is not a
    number.
    """
    if not queries:
        return np.empty(0, dtype=np.float32)
    asked, query_of = _distinct(model, queries, "query")
    texts, passage_of = _distinct(model, passages, "document")
    pairs, same, counts = np.unique(np.stack([passage_of, query_of], axis=1), axis=0, return_inverse=True,
                                    return_counts=True)
    same = same.reshape(-1)
    stop = np.searchsorted(pairs[:, 0], np.arange(len(texts)), side="right")
    start = np.searchsorted(pairs[:, 0], np.arange(len(texts)))
    vectors = {at: found for rows, batch in _encoded(model, asked, "query", batch_tokens, precision)
               for at, found in zip(rows, batch)}
    scores = np.empty(len(pairs), dtype=np.float32)
    for rows, batch in _encoded(model, texts, "document", batch_tokens, precision):
        at = np.concatenate([np.arange(start[row], stop[row]) for row in rows])
        found = dict(zip(rows, batch))
        scores[at] = model.similarity_pairwise([vectors[query] for query in pairs[at, 1]],
                                               [found[passage] for passage in pairs[at, 0]],
                                               chunk_elements=CHUNK).cpu().numpy()
        tick(int(counts[at].sum()))
    if not np.isfinite(scores).all():
        raise UserError(f"precision {precision}: the model's scores are not numbers in it; say float32 or bfloat16")
    return scores[same]


def _distinct(model, texts: list[str], task: str) -> tuple[list[tuple[str, int]], np.ndarray]:
    """Each text of tokens of its own with how many they are, and for each text which of those it is."""
    limit = model[0].query_length if task == "query" else model[0].document_length
    texts = [text.strip() for text in texts]
    known = list(dict.fromkeys(texts))
    tokens = model.tokenizer(known, truncation=True, max_length=limit)["input_ids"]
    places: dict[tuple, int] = {}
    firsts, place_of = [], {}
    for text, ids in zip(known, map(tuple, tokens)):
        if ids not in places:
            places[ids] = len(places)
            firsts.append((text, len(ids)))
        place_of[text] = places[ids]
    return firsts, np.array([place_of[text] for text in texts])


def _encoded(model, texts: list[tuple[str, int]], task: str, batch_tokens: int, precision: str):
    """Batches of texts: their numbers, and for each its token vectors (tokens, dimension) in float32."""
    import torch
    encode = model.encode_query if task == "query" else model.encode_document
    for rows in batches(np.array([length for _, length in texts]), batch_tokens):
        with autocast(model, precision):
            found = encode([texts[row][0] for row in rows], batch_size=len(rows), show_progress_bar=False)
        yield rows, [torch.nn.functional.normalize(vectors.float(), dim=-1) for vectors in found]
