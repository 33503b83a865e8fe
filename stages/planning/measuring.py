"""What a model takes on this machine: the same short work done by as many processes at once as stages will run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core import threads
from stages.core.errors import UserError
from stages.models import architectures, caps, code_elsewhere, encoding, fetch, lengths, model_folder, towers
from stages.models.model_folder import Description
from stages.planning.facts import Pair
from stages.planning.worker import Work

if TYPE_CHECKING:
    from stages.params.models import Start

UNBOUNDED = 10**6
MARGIN, DEEP = 0.05, 100  # of the relevant passage's score; a rank in the collection


@dataclass(frozen=True)
class Model:
    """A base checkpoint as it was fetched.

    `own` are its own caps of queries and passages, None where it has none; `adapted` the layers that peft adapts in a
    model of its kind, none where it knows no such kind.
    """

    folder: Path
    kind: str
    similarity: str
    dimension: int
    megabytes: float
    own: tuple[int | None, int | None]
    usable: int | None
    adapted: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Rates:
    """What one of the processes at work does in a second that it computes, on average; load is in such seconds.

    `busy` is how many seconds pass for each of them, 1 on a machine that does nothing else; `encoded` counts the
    passages of all processes. Of memory in MB `encoding` is the peak of one that only encoded, and `megabytes` that
    of one that trained batches of `batch` triplets. `apart` is the share of the queries tried whose relevant passage
    stands out from the negatives: one DEEP down the base's ranking scores MARGIN below it.
    """

    load: float
    passages: float
    queries: float
    triplets: float | None
    encoding: float
    megabytes: float
    batch: float
    busy: float
    encoded: int = 0
    apart: float = 1.0


def fetched(start: Start, folder: Path) -> Model:
    """The base checkpoint in a folder, as stage `checkpoint` makes it. Raises UserError as that stage does."""
    began = time.perf_counter()
    folder.mkdir(parents=True)
    fetch.fetch(start.source, folder, start.adapter_base)
    if start.code:
        code_elsewhere.bring(folder, start.code)
    prompts = dict(start.prompts.model_dump(exclude_none=True)) if start.prompts else {}
    own = Description(
        "symmetric",
        sha256=fetch.checked_sha256(folder, start.sha256),
        remote_code=start.remote_code,
        prompts=prompts,
        similarity=start.similarity or "",
        layers=start.layers or 0,
    )
    architectures.build(folder, own)
    model_folder.write(own, folder)
    model = encoding.load_encoder(folder)
    config = getattr(getattr(towers.first(model, "query"), "model", None), "config", None)
    return Model(
        folder=folder,
        kind=getattr(config, "model_type", ""),
        similarity=str(model.similarity_fn_name),
        dimension=int(model.get_embedding_dimension() or 0),
        megabytes=sum(weights.numel() for weights in model.parameters()) * 4 / 1e6,
        own=(caps.of(model, "query"), caps.of(model, "document")),
        usable=caps.usable_positions(config.to_dict()) if config is not None else None,
        adapted=_adapted(model, getattr(config, "model_type", "")),
        seconds=time.perf_counter() - began,
    )


def _adapted(model: Any, kind: str) -> tuple[str, ...]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as usual

    named = usual.get(kind, ())
    layers = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return tuple(sorted(named)) if set(named) <= layers else ()


def token_lengths(folder: Path, queries: list[str], passages: list[str]) -> dict[str, np.ndarray]:
    """The length of each text in the model's own tokens, prompts and special tokens included, uncut."""
    model = encoding.load_encoder(folder)
    for body in towers.bodies(model).values():
        if hasattr(body, "query_length"):
            body.max_seq_length, body.query_length, body.document_length = UNBOUNDED, None, None
    found = {"query": queries, "passage": passages}
    roles = {"query": "query", "passage": "document"}
    return {kind: lengths.in_tokens(model, texts, roles[kind]).read for kind, texts in found.items()}


def rates(
    work: Work, folder: Path, jobs: int, pairs: Sequence[Pair], texts: list[str], collection: int
) -> tuple[Rates, list[float]]:
    """What `jobs` processes at once measure, and the rank that the base gives each pair's first relevant passage.

    They are no more than there are pairs, or texts, so that each has some; without pairs nothing is trained. Ranks are
    among all passages that were encoded, of `collection`; the caller scales them to it.
    """
    jobs = min(jobs, len(pairs) or jobs, len(texts) or jobs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.json").write_text(json.dumps(asdict(replace(work, trains=work.trains and bool(pairs)))))
    shares = [{"pairs": list(pairs[at::jobs]), "texts": texts[at::jobs]} for at in range(jobs)]
    for number, share in enumerate(shares):
        (folder / f"texts-{number}.json").write_text(json.dumps(share))
    environment = dict(os.environ) | dict.fromkeys(threads.VARIABLES, str(work.threads))
    command = [sys.executable, "-m", "stages.planning.worker", str(folder)]
    running = [
        subprocess.Popen(
            [*command, str(number), str(time.time())],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(jobs)
    ]
    said = [one.communicate()[0] for one in running]
    for one, words in zip(running, said, strict=True):
        if one.returncode:
            raise UserError(f"measuring the model failed: {(words.strip() or 'no word of why').splitlines()[-1][:300]}")
    found = [json.loads((folder / f"measured-{number}.json").read_text()) for number in range(jobs)]
    mean: dict[str, Any] = {
        key: None if found[0][key] is None else float(np.mean([one[key] for one in found])) for key in found[0]
    }
    vectors = [np.load(folder / f"vectors-{number}.npz") for number in range(jobs)]
    encoded = sum(len(one["passages"]) + len(one["relevant"]) for one in vectors)
    return Rates(**mean, encoded=encoded, apart=apart(vectors, DEEP * encoded / collection)), _ranks(vectors)


def apart(vectors: Sequence[Mapping[str, np.ndarray]], rank: float) -> float:
    """The share of queries whose passage of this rank scores MARGIN below their relevant one; 1 without queries."""
    passages = np.concatenate([one["passages"] for one in vectors])
    found: list[bool] = []
    for one in vectors:
        scores = np.sort(one["queries"] @ passages.T, axis=1)[:, ::-1]
        best = np.einsum("ij,ij->i", one["queries"], one["relevant"])
        if scores.size:
            at = min(scores.shape[1] - 1, max(0, round(rank) - 1))
            found += (scores[:, at] < best - MARGIN * np.abs(best)).tolist()
    return float(np.mean(found)) if found else 1.0


def _ranks(vectors: list[Any]) -> list[float]:
    """For each query the rank of the first passage relevant to it among all passages of all processes."""
    passages = np.concatenate([one["passages"] for one in vectors])
    found: list[float] = []
    for one in vectors:
        scores = one["queries"] @ passages.T
        best = np.einsum("ij,ij->i", one["queries"], one["relevant"])
        found += (1 + (scores > best[:, None] + 1e-6).sum(axis=1)).tolist()
    return found
