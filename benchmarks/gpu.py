"""The study's ways against the libraries' defaults on a machine with a GPU, from one folder and without a network.

    python -m benchmarks.gpu pack pack          # here, after dvc repro: weights in float16 and texts, below 64 MiB
    python -m benchmarks.gpu run pack gpu.json  # there: ends within minutes and writes what it measured

It needs torch, sentence-transformers and click, and nothing of the study's results. Without a GPU it measures the CPU.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

MIB = 64
ROUNDS = 3
SECONDS = 300  # after which no measurement begins
folder = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """Speed on a GPU, as ratios of one run."""


@main.command()
@click.argument("target", type=folder)
@click.option("--checkpoint", type=folder, default=Path("data/checkpoints/minilm"), show_default=True)
@click.option("--collection", type=folder, default=Path("data/corpora/in_domain"), show_default=True)
def pack(target: Path, checkpoint: Path, collection: Path) -> None:
    """Write a model in float16 and a collection's texts into TARGET."""
    import pyarrow.parquet as pq
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint, target, dirs_exist_ok=True)
    for weights in target.rglob("*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    texts = {
        "passages": pq.read_table(collection / "docs.parquet")["text"].to_pylist(),
        "queries": pq.read_table(collection / "topics/test.parquet")["text"].to_pylist(),
    }
    (target / "texts.json").write_text(json.dumps(texts))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 2**20
    click.echo(f"{target}: {size:.1f} MiB")
    if size > MIB:
        raise click.ClickException(f"{target} is larger than {MIB} MiB; take a smaller collection")


@main.command()
@click.argument("source", type=folder)
@click.argument("out", type=folder)
@click.option("--passages", default=20_000, show_default=True, help="the texts are repeated up to so many")
@click.option("--triplets", default=4096, show_default=True)
@click.option("--batch", default=128, show_default=True)
def run(source: Path, out: Path, passages: int, triplets: int, batch: int) -> None:
    """Measure with what `pack` wrote into SOURCE, and write the figures to OUT after each part."""
    start = time.perf_counter()
    import torch

    from stages.models import encoding, precision

    native = precision.chosen("auto")
    texts = json.loads((source / "texts.json").read_text())
    many = (texts["passages"] * (1 + passages // len(texts["passages"])))[:passages]
    figures: dict[str, Any] = {"machine": precision.hardware(), "torch": torch.__version__, "precision": native}
    model = encoding.load_encoder(source)
    figures["start_seconds"] = round(time.perf_counter() - start, 2)
    for name, measured in (
        ("products_tflops", lambda: _products()),
        ("encode_per_second", lambda: _encoding(model, many, native)),
        ("train_per_second", lambda: _training(source, texts, native, triplets, batch)),
    ):
        if time.perf_counter() - start < SECONDS:
            figures[name] = measured()
            click.echo(f"{name}: {json.dumps(figures[name])}")
        out.write_text(json.dumps(figures, indent=1) + "\n")


def _encoding(model: SentenceTransformer, texts: list[str], native: str) -> dict[str, float]:
    from stages.models import encoding

    ways = {f"study, {native}, {tokens} tokens a batch": (tokens, native) for tokens in (2048, 16384, 65536)}
    ways |= {"study, float32, 16384 tokens a batch": (16384, "float32")}
    found = {name: _rate(len(texts), partial(encoding.encode, model, texts, *way)) for name, way in ways.items()}
    found["SentenceTransformer.encode"] = _rate(
        len(texts), lambda: model.encode(texts, show_progress_bar=False, normalize_embeddings=True)
    )
    return found


def _training(source: Path, texts: dict[str, list[str]], native: str, triplets: int, batch: int) -> dict[str, float]:
    """Triplets a second of texts drawn at random: what they teach does not matter here."""
    rows = list(_random_triplets(texts, triplets))
    return {
        f"study's arguments, {native}": _rate(triplets, lambda: _train(source, rows, batch, native), rounds=1),
        "SentenceTransformerTrainer": _rate(triplets, lambda: _train(source, rows, batch, None), rounds=1),
    }


def _train(source: Path, rows: list[tuple[str, str, str]], batch: int, native: str | None) -> None:
    """Train on all rows once; without a precision at the library's defaults."""
    import tempfile

    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    from stages.models import encoding
    from stages.training import attention

    model = encoding.load_encoder(source)
    arguments: dict[str, Any] = {"per_device_train_batch_size": batch, "num_train_epochs": 1, "report_to": "none"}
    arguments |= {"save_strategy": "no", "disable_tqdm": True, "logging_strategy": "no"}
    arguments |= {"use_cpu": not torch.cuda.is_available()}
    if native is not None:
        arguments |= {"bf16": native == "bfloat16", "fp16": native == "float16"}
        arguments |= {"dataloader_pin_memory": torch.cuda.is_available()}
        attention.fit(model)
    names = ("anchor", "positive", "negative")
    data = Dataset.from_dict(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    with tempfile.TemporaryDirectory() as work:
        SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(output_dir=work, **arguments),
            train_dataset=data,
            loss=MultipleNegativesRankingLoss(model),
        ).train()


def _random_triplets(texts: dict[str, list[str]], count: int) -> Iterator[tuple[str, str, str]]:
    draw = random.Random(13)
    for _ in range(count):
        yield draw.choice(texts["queries"]), draw.choice(texts["passages"]), draw.choice(texts["passages"])


def _products() -> dict[str, float]:
    """TFLOP a second of the model's own matrix products: what nothing above can exceed."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows, inner, columns, times = 16384, 384, 1536, 20
    found = {}
    for name in ("float32", "bfloat16"):
        left, right = (
            torch.randn(shape, dtype=getattr(torch, name), device=device) for shape in ((rows, inner), (inner, columns))
        )
        a_second = _rate(times, partial(_multiply, left, right, times))
        found[name] = round(a_second * 2 * rows * inner * columns / 1e12, 2)
    return found


def _multiply(left: torch.Tensor, right: torch.Tensor, times: int) -> None:
    for _ in range(times):
        left @ right


def _rate(count: int, way: Callable[[], object], rounds: int = ROUNDS) -> float:
    """So many a second: the median of some rounds, after one that does not count."""
    import torch

    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        way()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return round(count / statistics.median(seconds[1:]), 2)


if __name__ == "__main__":
    main()
