"""How late interaction learns and how a copy is kept: the library's trainer and losses on MultiVectorEncoder."""
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core import fingerprint
from stages.models import model_folder
from stages.models import late_interaction
from stages.reporting import late_cards
from stages.training import optimizers
from stages.training import loop
from stages.training import tuning
from stages.core.errors import UserError

CHECKPOINTS = 10  # whole trainer checkpoints a run, for a resumed one to start from


def trainer(row: str, seed: int, start: Path, lesson: Path, tune, fit, work: Path) -> tuple:
    """A trainer whose model has exactly the weights trainable that `tune` names, and the pairs of an epoch.

    A pair is a query and a passage of its own triplet; those that a batch makes beside them are not counted. Raises
    UserError for a fit that late interaction cannot learn by.
    """
    from datasets import Dataset
    from sentence_transformers import MultiVectorEncoderTrainer, MultiVectorEncoderTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    from transformers import set_seed
    check(fit, f"rerankers.{row}")
    set_seed(seed)
    model = late_interaction.load(start)
    model.model_card_data.generate_widget_examples = False
    on_cpu = loop.on_cpu(model, fit, f"rerankers.{row}")
    prepare(model, tune)
    taught = columns(pq.read_table(lesson), fit.loss)
    arguments = MultiVectorEncoderTrainingArguments(
        **loop.arguments(tune, fit, seed, work, on_cpu), save_steps=1 / CHECKPOINTS,
        batch_sampler=BatchSamplers.NO_DUPLICATES)
    made = MultiVectorEncoderTrainer(
        model=model, args=arguments, train_dataset=Dataset(taught), loss=build(model, fit.loss),
        callbacks=[loop.stopping(fit.stop), tuning.restoring(loop.last_checkpoint(work))],
        optimizer_cls_and_kwargs=optimizers.chosen(tune, fit.weight_decay))
    return made, len(taught) * (len(taught.column_names) - 1)


def check(fit, where: str) -> None:
    """UserError, naming the row `where`, for a fit that late interaction cannot learn by."""
    if fit.loss.kind != "in-batch":
        raise UserError(f"{where}: the library has no {fit.loss.kind} loss for late interaction; let its fit say inbatch")
    if not fit.normalize:
        raise UserError(f"{where}: late interaction compares unit vectors; let its fit say normalize: true")


def build(model, loss):
    """Cross-entropy over the batch's passages of scale x MaxSim / tokens of the query, on a MultiVectorEncoder.

    Khattab and Zaharia 2020, over a batch. The mean over the query's tokens orders passages as the sum does and lies
    between -1 and 1 as the cosine does, so that `scale` means what it means for retrievers. With `cached` the same
    loss and gradient by Gao et al. 2021, which hold the activations of so many texts at once.
    """
    from sentence_transformers.multi_vector_encoder import losses as library
    from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores
    how = {"scale": loss.scale, "similarity_fct": mean_colbert_scores}
    if loss.mini_batch:
        return library.CachedMultiVectorMultipleNegativesRankingLoss(model, mini_batch_size=loss.mini_batch, **how)
    return library.MultiVectorMultipleNegativesRankingLoss(model, **how)


def columns(triplets: pa.Table, loss) -> pa.Table:
    """What the loss is fed: (anchor, positive), and with `hard` all negatives of the triplets (negative_2 ...)."""
    negatives = [name for name in triplets.column_names if re.fullmatch(r"negative(_\d+)?", name)]
    return triplets.select(["anchor", "positive", *(negatives if loss.hard_negatives else [])])


def prepare(model, tune) -> None:
    """Make exactly the weights trainable that `tune` names, and the projection, which was drawn and taught nothing."""
    tuning.prepare(model, tune)
    for part in list(model)[1:]:
        part.requires_grad_(True)


def save(model, row: str, seed: int, start: Path, lesson: Path, tune, fit, folder: Path) -> None:
    """The model as it is deployed: adapter merged, beside the projection that was trained with it; our own card."""
    shutil.rmtree(folder, ignore_errors=True)
    if tune.kind in ("lora", "ia3"):
        tuning.save_adapter(model, folder / "adapter")
        plain = tuning.merged(late_interaction.load(start), folder / "adapter")
        for part, trained in zip(list(plain)[1:], list(model)[1:]):
            part.load_state_dict(trained.state_dict())
        model = plain
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.copy(start / "architecture.json", folder / "architecture.json")
    (folder / "README.md").write_text(late_cards.model_card(
        row, seed, tune.model_dump(), fit.model_dump(), model_folder.describe(start), fingerprint.of_file(lesson)))
