"""How a retriever is trained, with one tower or two: the library's trainer on a SentenceTransformer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from stages.core import costs
from stages.core.errors import UserError
from stages.models import encoding, settings, towers
from stages.params.losses import SEVERAL_NEGATIVES
from stages.training import loop, losses, regularizers, tuning, validation, vectors
from stages.training.seed_runs import SeedRun

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments


FIRST = 64  # rows of the training data whose texts are compared before training


def prepare(run: SeedRun, work: Path) -> loop.Prepared:
    """The trainer of a seed run; an epoch reads its triplets, or the pairs that the loss makes of them.

    Raises UserError for a recipe that does not train what is searched, where all texts have the same vector, and where
    the loss needs scores that less than a batch of the triplets have.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from transformers import set_seed

    set_seed(run.seed)
    model = encoding.load_encoder(run.checkpoint)
    vectors.check(model, run.recipe, run.variant)
    use_cpu = loop.on_cpu(model, run)
    data = Dataset(losses.columns(pq.read_table(run.triplets), run.recipe.loss))
    if run.recipe.loss.kind in SEVERAL_NEGATIVES and len(data) < run.recipe.batch:
        raise UserError(
            f"{run.triplets}: {len(data)} triplets have all scores, less than a batch of {run.recipe.batch}; let the "
            f"teacher score more, or draw more triplets"
        )
    queries, passages = (list(data[name][:FIRST]) for name in data.column_names[:2])
    vectors.check_texts_differ(model, queries, passages, run.variant)
    seen = vectors.trained(model, run.recipe.normalize)
    seen.model_card_data.generate_widget_examples = False
    tuning.prepare(seen, run.tuning)
    loss = losses.build(seen, run.recipe.loss)
    sample = validation.read_sample(run.validation)
    measure = partial(validation.reciprocal_rank, sample=sample, precision=run.recipe.precision) if sample else None
    points = validation.Points("RR@10", measure, run.curve, run.recipe, work)
    trainer = SentenceTransformerTrainer(
        model=seen,
        train_dataset=data,
        loss=regularizers.added(loss, seen, run.recipe.regularizer, run.checkpoint),
        args=arguments(run, work, use_cpu, seen, data.column_names),
        **loop.parts(run, work, points),
    )
    trainer.processing_class = None  # its special tokens would go into config.json, where positions may hang on them
    return loop.Prepared(trainer, points, len(data), model)


def deployed(model: SentenceTransformer, run: SeedRun, folder: Path) -> SentenceTransformer:
    """The trained model, built as its base checkpoint is; an adapter is merged into it if it can be."""
    plain = tuning.deployed(model, run.tuning, lambda: encoding.load_encoder(run.checkpoint), folder)
    if plain is not model:
        measured = {"base": encoding.load_encoder(run.checkpoint), "unmerged": model}
        measured |= {} if tuning.said(plain) else {"merged": plain}
        queries = {name: towers.alone(each, "query") for name, each in measured.items()}
        costs.record("latency", f"{run.variant}.seed-{run.seed}", **costs.latencies(**queries))
    return plain


def arguments(
    run: SeedRun, work: Path, use_cpu: bool, model: SentenceTransformer, columns: list[str]
) -> SentenceTransformerTrainingArguments:
    """The trainer's arguments: each column of texts is read as encode_query or encode_document reads it.

    That is with the prompt of its role, cut where that role is cut and, of two towers, by its own.
    """
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers

    unique = losses.no_duplicates(run.recipe.loss)
    roles = towers.roles(columns)
    return loop.on_one_device(
        SentenceTransformerTrainingArguments(
            **loop.arguments(run, work, use_cpu),
            save_steps=2 * run.curve.every,
            batch_sampler=BatchSamplers.NO_DUPLICATES if unique else BatchSamplers.BATCH_SAMPLER,
            router_mapping=roles,
            prompts={column: settings.prompt(model, role) for column, role in roles.items()},
        )
    )
