"""The late-interaction architecture: a vector for each token, and MaxSim between a query's vectors and a passage's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core.errors import UserError
from stages.models import caps, encoding, model_folder, reloading_rerankers, settings, towers
from stages.models.encoding import autocast, batches
from stages.models.model_folder import Description

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer
    from torch import Tensor, nn

CHUNK = 2**22  # numbers that the comparison of a batch's pairs holds at once
TOGETHER = 1024  # texts that are tokenized at a time
PYLATE = ("query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens", "skiplist_words")


def build(folder: Path, description: Description, seed: int = 0) -> None:
    """Turn a fetched folder into one that MultiVectorEncoder loads, in place: in float32, proven to load again.

    A trained model of late interaction (of MultiVectorEncoder, PyLate or Stanford's ColBERT) keeps all that its folder
    says: projection, markers, query expansion, skiplist, lengths, similarity. Of any other, an encoder or a retriever,
    stay the encoder, its prompts and its lengths; a token's vector is the encoder's, with `dimension` brought to so
    many numbers by a linear layer without bias, its weights drawn uniformly within 1/sqrt(inputs) from `seed`, and then
    to unit length. The description's lengths and prompts come instead of the model's own where it has them. The same on
    every machine; torch's own random numbers are left where they were.

    Raises UserError where the folder holds no encoder, where a trained projection has another dimension, and for
    lengths that the model cannot read.
    """
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        raise UserError("architecture: late-interaction needs a body like BERT's, and there is no config.json")
    trained = _is_trained(folder)
    model = _of_library(folder, description.remote_code)
    body = next(iter(towers.bodies(model).values()))
    if getattr(body, "transformer_task", "") != "feature-extraction" or body.module_output_name != "token_embeddings":
        raise UserError("architecture: late-interaction needs a body like BERT's, which gives a vector for each token")
    if not trained:
        model = _with_plain_head(model, description.dimension, seed)
    elif description.dimension not in (0, model.get_embedding_dimension()):
        raise UserError(
            f"dimension: this model is trained with {model.get_embedding_dimension()} numbers a token; leave it out"
        )
    _cut(model, description)
    settings.set_prompts(model, description.prompts)
    with model_folder.replacing(folder, description.remote_code) as draft:
        model.save_pretrained(str(draft), create_model_card=False)
    model_folder.write(description, folder)
    check_saved(model, folder)


def read(folder: Path, remote_code: bool) -> SentenceTransformer | MultiVectorEncoder:
    """What a fetched folder holds, in float32: a model of late interaction, or else a retriever or an encoder."""
    return (_of_library if _is_trained(folder) else encoding.load_encoder)(folder, remote_code)


def _is_trained(folder: Path) -> bool:
    """Whether a folder is one of late interaction already, of the library, PyLate or Stanford's ColBERT."""
    config, of_library = (_json(folder / name) for name in ("config.json", "config_sentence_transformers.json"))
    return (
        of_library.get("model_type") in ("MultiVectorEncoder", "ColBERT")
        or "HF_ColBERT" in (config.get("architectures") or [])
        or any(name in of_library for name in PYLATE)
    )


def _json(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _with_plain_head(model: MultiVectorEncoder, dimension: int, seed: int) -> MultiVectorEncoder:
    """The encoder of a model with a projection drawn from `seed` (none for 0), and what every such model ends with."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    drawn = [_projection(model[0].get_embedding_dimension(), dimension, seed)] if dimension else []
    return MultiVectorEncoder(
        modules=[model[0], *drawn, MultiVectorMask(), Normalize(module_input_name="token_embeddings")],
        device=str(model.device),
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name="maxsim",
    ).eval()


def _projection(width: int, dimension: int, seed: int) -> nn.Module:
    """A linear layer without bias from `width` to `dimension` numbers, drawn uniformly within 1/sqrt(width)."""
    import torch
    from sentence_transformers.base.modules import Dense

    drawn = torch.rand((dimension, width), generator=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng(devices=[]):
        return Dense(
            width,
            dimension,
            bias=False,
            activation_function=torch.nn.Identity(),
            init_weight=(2 * drawn - 1) / width**0.5,
            module_input_name="token_embeddings",
        )


def _cut(model: MultiVectorEncoder, description: Description) -> None:
    """Set where texts are cut. A query that is always expanded to one length is cut there, and `query_tokens` is it."""
    caps.keep_within_positions(model)
    caps.cut(model, description.tokens, description.query_tokens, description.passage_tokens)
    for body in towers.bodies(model).values():
        if expansion := getattr(body, "query_expansion", None):
            fixed = expansion["strategy"] == "fixed"
            own = (expansion["length"], description.tokens or None, None if fixed else body.query_length)
            length = (fixed and description.query_tokens) or min(filter(None, own))
            body.query_length = None if fixed else body.query_length
            body.query_expansion = {**expansion, "length": length}


def cut(model: MultiVectorEncoder, tokens: int | None, query_tokens: int | None, passage_tokens: int | None) -> None:
    """Cut texts where it is given, and not where the model's folder says; a query that is expanded keeps its length.

    Raises UserError for more tokens than the model can read.
    """
    caps.cut(model, tokens, query_tokens, passage_tokens)


def load(folder: Path) -> MultiVectorEncoder:
    """A MultiVectorEncoder from a folder with architecture.json, on the GPU where there is one, in float32.

    The model's own code runs only where the description says so. Raises UserError where it says another architecture.
    """
    description = model_folder.describe(folder)
    if description.architecture != "late-interaction":
        raise UserError(f"{folder}: is a model of architecture {description.architecture}, not late-interaction")
    return _of_library(folder, description.remote_code)


def _of_library(folder: Path, remote_code: bool) -> MultiVectorEncoder:
    """What the library loads, in float32 whatever is stored; what a folder lacks is drawn as on every machine."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = MultiVectorEncoder(
            str(folder), local_files_only=True, trust_remote_code=remote_code, model_kwargs={"dtype": torch.float32}
        )
    settings.keep_lower_case(towers.bodies(model).values())
    model.similarity_fn_name = model.similarity_fn_name or "maxsim"
    return model.float().eval()


def check_saved(model: MultiVectorEncoder, folder: Path) -> None:
    """Raises UserError where a folder, loaded plainly, does not score pairs as the model that was saved to it."""
    reloading_rerankers.check(folder, partial(score, model), partial(_plain_scores, folder, str(model.device)))


def _plain_scores(folder: Path, device: str, queries: list[str], passages: list[str]) -> np.ndarray:
    """The scores of pairs by a fresh MultiVectorEncoder as anybody loads it, by its own methods alone."""
    from sentence_transformers import MultiVectorEncoder

    remote_code = model_folder.describe(folder).remote_code
    model = MultiVectorEncoder(str(folder), device=device, local_files_only=True, trust_remote_code=remote_code).eval()
    asked, known = list(dict.fromkeys(queries)), list(dict.fromkeys(passages))
    sides = [
        encode(texts, batch_size=len(texts), show_progress_bar=False)
        for encode, texts in ((model.encode_query, asked), (model.encode_document, known))
    ]
    scores = model.similarity(*sides).float().cpu().numpy()
    return scores[[asked.index(query) for query in queries], [known.index(passage) for passage in passages]]


def score(
    model: MultiVectorEncoder,
    queries: list[str],
    passages: list[str],
    batch_tokens: int,
    precision: str = "float32",
    tick: Callable[[int], None] = lambda n: None,
) -> np.ndarray:
    """The model's similarity of each pair (queries[i], passages[i]) as float32 of shape (pairs,).

    It is MaxSim, Khattab and Zaharia 2020: the sum over a query's tokens of the largest inner product with a token of
    the passage (for a model of meanmaxsim their mean), of the vectors of the library's encode_query and
    encode_document. Texts of the same tokens are encoded once, and the same pair of them is compared once, so that
    equals are equal to the bit. Batches hold texts of like token length, at most `batch_tokens` tokens with padding.
    What is held: the token vectors of all queries of the call (4 x tokens x dimension bytes), those of one batch of
    passages, and CHUNK numbers of comparison. Below `precision` float32 the layers compute in it (autocast), and the
    vectors are brought to unit length, where the model does so, and compared in float32. `tick` is called after each
    batch with the number of pairs that it scored. Raises UserError where a score is not a number.
    """
    if not queries:
        return np.empty(0, dtype=np.float32)
    distinct_queries, query_of = _distinct(model, queries, "query")
    distinct_passages, passage_of = _distinct(model, passages, "document")
    both = np.stack([passage_of, query_of], axis=1)
    pairs, same, counts = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    stop = np.searchsorted(pairs[:, 0], np.arange(len(distinct_passages)), side="right")
    start = np.searchsorted(pairs[:, 0], np.arange(len(distinct_passages)))
    query_vectors: dict[int, Tensor] = {}
    for rows, vectors in _encoded(model, distinct_queries, "query", batch_tokens, precision):
        query_vectors.update(zip(rows, vectors, strict=True))
    scores = np.empty(len(pairs), dtype=np.float32)
    for rows, vectors in _encoded(model, distinct_passages, "document", batch_tokens, precision):
        at = np.concatenate([np.arange(start[row], stop[row]) for row in rows])
        passage_vectors = dict(zip(rows, vectors, strict=True))
        sides = [query_vectors[row] for row in pairs[at, 1]], [passage_vectors[row] for row in pairs[at, 0]]
        scores[at] = model.similarity_pairwise(*sides, chunk_elements=CHUNK).cpu().numpy()
        tick(int(counts[at].sum()))
    if not np.isfinite(scores).all():
        raise UserError(f"precision {precision}: the model's scores contain NaN or infinity; use float32 or bfloat16")
    return scores[same.reshape(-1)]


def _distinct(model: MultiVectorEncoder, texts: list[str], task: str) -> tuple[list[tuple[str, int]], np.ndarray]:
    """Each text of tokens of its own with how many they are, and for each text which of those it is."""
    expansion = getattr(towers.first(model, task), "query_expansion", None) if task == "query" else None
    least = expansion["length"] if expansion else 1
    different = list(dict.fromkeys(texts))
    places: dict[tuple[int, ...], int] = {}
    firsts, place_of = [], {}
    for first in range(0, len(different), TOGETHER):
        part = different[first : first + TOGETHER]
        features = model.preprocess(part, prompt=settings.prompt(model, task), task=task)
        for text, ids, mask in zip(part, features["input_ids"], features["attention_mask"].bool(), strict=True):
            tokens = tuple(ids[mask].tolist())
            if tokens not in places:
                places[tokens] = len(places)
                firsts.append((text, max(least, len(tokens))))
            place_of[text] = places[tokens]
    return firsts, np.array([place_of[text] for text in texts])


def _encoded(
    model: MultiVectorEncoder, texts: list[tuple[str, int]], task: str, batch_tokens: int, precision: str
) -> Iterator[tuple[np.ndarray, list[Tensor]]]:
    """Batches of texts: their numbers, and for each its token vectors (tokens, dimension) in float32."""
    import torch
    from sentence_transformers.base.modules import Normalize

    encode = model.encode_query if task == "query" else model.encode_document
    lengthen = precision != "float32" and any(isinstance(part, Normalize) for part in model)
    for rows in batches(np.array([length for _, length in texts]), batch_tokens):
        with autocast(model, precision):
            vectors = encode([texts[row][0] for row in rows], batch_size=len(rows), show_progress_bar=False)
        exact = [each.float() for each in vectors]
        yield rows, [torch.nn.functional.normalize(each, dim=-1) for each in exact] if lengthen else exact
