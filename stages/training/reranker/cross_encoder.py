"""How a cross-encoder is trained: the library's trainer on a CrossEncoder of one label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import UserError
from stages.models import cross_encoder
from stages.training import loop, losses, tuning
from stages.training.reranker import SAVE_STEPS, after_body, as_loaded, validation
from stages.training.seed_runs import SeedRun

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from stages.params.tuning import FineTuning


def prepare(run: SeedRun, work: Path) -> loop.Prepared:
    """The trainer of a seed run; an epoch reads pairs of query and passage.

    Raises UserError where the loss margin-mse leaves less than a batch of the triplets.
    """
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from transformers import set_seed

    table = losses.columns(pq.read_table(run.triplets), run.recipe.loss)
    if run.recipe.loss.kind == "margin-mse" and len(table) < run.recipe.batch:
        raise UserError(
            f"{run.triplets}: {len(table)} triplets have all scores, less than a batch of {run.recipe.batch}; mine a "
            f"deeper pool, or draw more triplets"
        )
    set_seed(run.seed)
    model = cross_encoder.load(run.checkpoint, run.seed)
    model.model_card_data.generate_widget_examples = False
    use_cpu = loop.on_cpu(model, run)
    make_trainable(model, run.tuning)
    points = validation.points(run, cross_encoder.score, work)
    trainer = CrossEncoderTrainer(
        model=model,
        train_dataset=Dataset(table),
        loss=losses.build(model, run.recipe.loss),
        args=loop.on_one_device(
            CrossEncoderTrainingArguments(
                **loop.arguments(run, work, use_cpu), save_steps=SAVE_STEPS, prompts=cross_encoder.prompt(model)
            )
        ),
        **loop.parts(run, work, points),
    )
    return loop.Prepared(trainer, points, pairs(table))


def deployed(model: CrossEncoder, run: SeedRun, folder: Path) -> CrossEncoder:
    """The trained model; an adapter is merged into it, next to the head that was trained with it."""
    model = as_loaded(model)
    plain = tuning.deployed(model, run.tuning, lambda: cross_encoder.load(run.checkpoint, run.seed), folder)
    after_body.copy(model, plain)
    return plain


def check(checkpoint: Path) -> None:
    """Raises UserError for a checkpoint without a trained head."""
    cross_encoder.load(checkpoint)


def make_trainable(model: CrossEncoder, block: FineTuning) -> None:
    """Make exactly the weights trainable that a tuning names, and the head, which may be new and untrained."""
    tuning.prepare(model, block, head(model))
    after_body.make_trainable(model)


def head(model: CrossEncoder) -> list[str]:
    """Names of the parts of the transformer that hold the weights of the head, such as BERT's "classifier".

    None for a language model, whose answer is read off its own vocabulary, and where the head comes after it.
    """
    if model[0].transformer_task != "sequence-classification":
        return []
    body = model.model.base_model_prefix
    return [name for name, part in model.model.named_children() if name != body and list(part.parameters())]


def pairs(table: pa.Table) -> int:
    """How many pairs of query and passage the columns of a loss hold."""
    if "passages" in table.column_names:
        return sum(map(len, table["passages"].to_pylist()))
    return len(table) * sum(
        name == "passage" or name.startswith(("positive", "negative")) for name in table.column_names
    )
