"""How a retriever is trained, with one tower or two: the library's trainer on a SentenceTransformer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from stages.core import costs
from stages.models import encoding, towers
from stages.training import loop, losses, regularizers, tuning, validation
from stages.training.seed_runs import SeedRun

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments


def prepare(run: SeedRun, work: Path) -> loop.Prepared:
    """The trainer of a seed run; an epoch reads its triplets, or the pairs that the loss makes of them."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from transformers import set_seed

    set_seed(run.seed)
    model = _loaded(run)
    use_cpu = loop.on_cpu(model, run)
    tuning.prepare(model, run.tuning)
    data = Dataset(losses.columns(pq.read_table(run.triplets), run.recipe.loss))
    loss = losses.build(model, run.recipe.loss)
    sample = validation.read_sample(run.validation)
    measure = partial(validation.reciprocal_rank, sample=sample, precision=run.recipe.precision) if sample else None
    points = validation.Points("RR@10", measure, run.curve, run.recipe, work)
    trainer = SentenceTransformerTrainer(
        model=model,
        train_dataset=data,
        loss=regularizers.added(loss, model, run.recipe.regularizer, run.checkpoint),
        args=_arguments(run, work, use_cpu, towers.router_mapping(model, data.column_names)),
        **loop.parts(run, work, points),
    )
    return loop.Prepared(trainer, points, len(data))


def deployed(model: SentenceTransformer, run: SeedRun, folder: Path) -> SentenceTransformer:
    """The trained model with unit vectors (every index is searched by cosine); an adapter is merged into it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    plain = tuning.deployed(model, run.tuning, lambda: encoding.load_encoder(run.checkpoint), folder)
    if plain is not model:
        measured = {"base": encoding.load_encoder(run.checkpoint), "unmerged": model, "merged": plain}
        queries = {name: towers.alone(each, "query") for name, each in measured.items()}
        costs.record("latency", f"{run.variant}.seed-{run.seed}", **costs.latencies(**queries))
    if not any(isinstance(part, Normalize) for part in plain):
        plain = SentenceTransformer(modules=[*plain, Normalize()])
    return plain


def _loaded(run: SeedRun) -> SentenceTransformer:
    """The base checkpoint, its vectors brought to unit length or not, as the recipe says."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    model = encoding.load_encoder(run.checkpoint)
    body = [part for part in model if not isinstance(part, Normalize)]
    parts = [*body, Normalize()] if run.recipe.normalize else body
    model = SentenceTransformer(modules=parts, device=str(model.device))
    model.model_card_data.generate_widget_examples = False
    return model


def _arguments(
    run: SeedRun, work: Path, use_cpu: bool, router_mapping: dict[str, str]
) -> SentenceTransformerTrainingArguments:
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers

    unique = losses.no_duplicates(run.recipe.loss)
    return SentenceTransformerTrainingArguments(
        **loop.arguments(run, work, use_cpu),
        save_steps=2 * run.curve.every,
        batch_sampler=BatchSamplers.NO_DUPLICATES if unique else BatchSamplers.BATCH_SAMPLER,
        router_mapping=router_mapping,
    )
