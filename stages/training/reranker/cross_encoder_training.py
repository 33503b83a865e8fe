"""How a cross-encoder learns and how a copy is kept: the library's trainer and losses on CrossEncoder."""
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from stages.core import fingerprint
from stages.models import cross_encoder
from stages.models import model_folder
from stages.reporting import cross_cards
from stages.training import optimizers
from stages.training import loop
from stages.training import tuning
from stages.training.reranker import cross_encoder_losses
from stages.training.reranker import cross_encoder_tuning
from stages.core.errors import UserError

CHECKPOINTS = 10  # whole trainer checkpoints a run, for a resumed one to start from


def trainer(row: str, seed: int, start: Path, lesson: Path, tune, fit, work: Path) -> tuple:
    """A trainer whose model has exactly the weights trainable that `tune` names, and the pairs of an epoch.

    Raises UserError where the loss leaves less than a batch of the lesson.
    """
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from transformers import set_seed
    taught = cross_encoder_losses.columns(pq.read_table(lesson), fit.loss)
    if fit.loss.kind == "margins" and len(taught) < fit.batch:
        raise UserError(f"{lesson}: the pool scores the positive of {len(taught)} triplets, and a batch is {fit.batch}; "
                      f"mine a deeper pool, or draw more triplets")
    set_seed(seed)
    model = cross_encoder.load(start, seed)
    model.model_card_data.generate_widget_examples = False
    on_cpu = loop.on_cpu(model, fit, f"rerankers.{row}")
    cross_encoder_tuning.prepare(model, tune)
    arguments = CrossEncoderTrainingArguments(**loop.arguments(tune, fit, seed, work, on_cpu),
                                              save_steps=1 / CHECKPOINTS)
    made = CrossEncoderTrainer(
        model=model, args=arguments, train_dataset=Dataset(taught), loss=cross_encoder_losses.build(model, fit.loss),
        callbacks=[loop.stopping(fit.stop), tuning.restoring(loop.last_checkpoint(work))],
        optimizer_cls_and_kwargs=optimizers.chosen(tune, fit.weight_decay))
    return made, cross_encoder_losses.pairs(taught)


def save(model, row: str, seed: int, start: Path, lesson: Path, tune, fit, folder: Path) -> None:
    """The model as it is deployed: adapter merged, our own card."""
    shutil.rmtree(folder, ignore_errors=True)
    if tune.kind in ("lora", "ia3"):
        tuning.save_adapter(model, folder / "adapter")
        model = tuning.merged(cross_encoder.load(start, seed), folder / "adapter")
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.copy(start / "architecture.json", folder / "architecture.json")
    (folder / "README.md").write_text(cross_cards.model_card(
        row, seed, tune.model_dump(), fit.model_dump(), model_folder.describe(start), fingerprint.of_file(lesson)))
