"""How late interaction is trained: the library's trainer and in-batch loss on a MultiVectorEncoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow.parquet as pq

from stages.models import late_interaction, settings, towers
from stages.training import loop, losses, tuning
from stages.training.reranker import SAVE_STEPS, after_body, as_loaded, validation
from stages.training.seed_runs import SeedRun

if TYPE_CHECKING:
    import torch
    from sentence_transformers import MultiVectorEncoder, MultiVectorEncoderTrainingArguments

    from stages.params.losses import InBatchLoss
    from stages.params.tuning import FineTuning


def prepare(run: SeedRun, work: Path) -> loop.Prepared:
    """The trainer of a seed run; an epoch reads pairs of a query and a passage of its own triplet.

    Those that a batch makes besides them are not counted.
    """
    from datasets import Dataset
    from sentence_transformers import MultiVectorEncoderTrainer
    from transformers import set_seed

    set_seed(run.seed)
    model = late_interaction.load(run.checkpoint)
    model.model_card_data.generate_widget_examples = False
    use_cpu = loop.on_cpu(model, run)
    make_trainable(model, run.tuning)
    table = losses.columns(pq.read_table(run.triplets), run.recipe.loss)
    points = validation.points(run, late_interaction.score, work)
    trainer = MultiVectorEncoderTrainer(
        model=model,
        train_dataset=Dataset(table),
        loss=loss(model, cast("InBatchLoss", run.recipe.loss)),
        args=arguments(run, work, use_cpu, model, table.column_names),
        **loop.parts(run, work, points),
    )
    return loop.Prepared(trainer, points, len(table) * (len(table.column_names) - 1))


def arguments(
    run: SeedRun, work: Path, use_cpu: bool, model: MultiVectorEncoder, columns: list[str]
) -> MultiVectorEncoderTrainingArguments:
    """The trainer's arguments: each column of texts is read as encode_query or encode_document reads it."""
    from sentence_transformers import MultiVectorEncoderTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers

    roles = towers.roles(columns)
    return loop.on_one_device(
        MultiVectorEncoderTrainingArguments(
            **loop.arguments(run, work, use_cpu),
            save_steps=SAVE_STEPS,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            router_mapping=roles,
            prompts={column: settings.prompt(model, role) for column, role in roles.items()},
        )
    )


def deployed(model: MultiVectorEncoder, run: SeedRun, folder: Path) -> MultiVectorEncoder:
    """The trained model; an adapter is merged into it, next to the projection that was trained with it."""
    model = as_loaded(model)
    plain = tuning.deployed(model, run.tuning, lambda: late_interaction.load(run.checkpoint), folder)
    after_body.copy(model, plain)
    return plain


def check(checkpoint: Path) -> None:
    """Raises UserError for a folder of another architecture; any projection ranks somehow."""
    late_interaction.load(checkpoint)


def make_trainable(model: MultiVectorEncoder, block: FineTuning) -> None:
    """Make exactly the weights trainable that a tuning names, and the projection, which may be new and untrained."""
    tuning.prepare(model, block)
    after_body.make_trainable(model)


def loss(model: MultiVectorEncoder, block: InBatchLoss) -> torch.nn.Module:
    """Cross-entropy over the batch's passages of scale x MaxSim / tokens of the query, Khattab and Zaharia 2020.

    The mean over the query's tokens orders passages as the sum does and is between -1 and 1 as the cosine does, so
    that `scale` means what it means for retrievers. With `mini_batch` loss and gradient are the same, by Gao et al.
    2021.
    """
    from sentence_transformers.multi_vector_encoder import losses as library
    from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores

    keywords: dict[str, Any] = {"scale": block.scale or losses.COSINE_SCALE, "similarity_fct": mean_colbert_scores}
    if block.mini_batch:
        cached = library.CachedMultiVectorMultipleNegativesRankingLoss
        return cached(model, mini_batch_size=block.mini_batch, **keywords)
    return library.MultiVectorMultipleNegativesRankingLoss(model, **keywords)
