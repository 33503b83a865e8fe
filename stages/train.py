"""Train: one row's models, one a seed."""
import json
import shutil
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages import params
from stages.core import costs
from stages.core import fingerprint
from stages.models import encoding
from stages.models import model_folder
from stages.models import towers
from stages.reporting import cards
from stages.training import losses
from stages.training import optimizers
from stages.training import regularizers
from stages.training import seed_runs
from stages.training import loop
from stages.training import tuning
from stages.training import validation
from stages.core.files import publish


@click.command()
@click.argument("variant")
@click.option("--start", type=click.Path(exists=True, path_type=Path), required=True, help="the checkpoint's folder")
@click.option("--triplets", type=click.Path(exists=True, path_type=Path), required=True, help="the block's folder")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one a seed")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="loss and validation by step, JSON")
def main(row: str, start: Path, triplets: Path, out: Path, log: Path) -> None:
    """Train ROW from its checkpoint on its triplets, once for each seed.

    Writes seed-<n>/, a folder that sentence-transformers loads (an adapter is merged into the weights and kept
    beside them), and the log of losses and validation. A row with no lesson is its checkpoint, in untrained/. Work
    that was killed goes on from its last checkpoint and ends with the same bytes.
    """
    study = params.load()
    names = study.retrievers[row]
    tune, fit = study.tunings[names.tuning], study.recipes[names.recipe]
    if fit is None:
        return seed_runs.pretrained(row, start, out, log)
    seed_runs.train(row, "train", study.seeds, triplets, out, log,
                 key=lambda seed, lesson: _key(row, start, lesson, tune, fit, seed, study.validation_curve),
                 one=lambda seed, lesson, work: _train(row, seed, start, lesson, tune, fit, study.validation_curve, work))


def _train(row: str, seed: int, start: Path, lesson: Path, tune, fit, curve, work: Path) -> None:
    """Train one copy in a workspace; work/model and then work/finished.json appear when it is whole."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from transformers import set_seed
    clock = costs.Clock()
    set_seed(seed)
    model = encoding.load_encoder(start)
    on_cpu = loop.on_cpu(model, fit, f"retrievers.{row}")
    body = [part for part in model if not isinstance(part, Normalize)]
    model = SentenceTransformer(modules=[*body, Normalize()] if fit.normalize else body, device=str(model.device))
    model.model_card_data.generate_widget_examples = False
    tuning.prepare(model, tune)
    for tower, (trainable, total) in tuning.count_by_tower(model).items():
        of = f"{total:,} parameters" + (f" of the {tower} tower" if tower else "")
        click.echo(f"{row}, seed {seed}: {trainable:,} of {of} are trained ({100 * trainable / total:.3f} %)")
    trainable, total = tuning.count(model)
    before = tuning.snapshot(model)
    data = Dataset(losses.columns(pq.read_table(lesson), fit.loss))
    resumed = loop.last_checkpoint(work)
    watch = validation.callback(validation.read_sample(lesson.parent / "watch"), curve, fit, work)
    trainer = SentenceTransformerTrainer(
        model=model, train_dataset=data, loss=regularizers.wrap(losses.build(model, fit.loss), model, fit.regularizer, start),
        args=_arguments(tune, fit, seed, curve.every, work, on_cpu, towers.router_mapping(model, data.column_names)),
        callbacks=[watch, loop.stopping(fit.stop), tuning.restoring(resumed)],
        optimizer_cls_and_kwargs=optimizers.chosen(tune, fit.weight_decay))
    loading = clock.lap()
    trainer.train(resume_from_checkpoint=resumed)
    seconds = clock.lap()
    steps = trainer.state.global_step
    moved = tuning.changed(model, before)
    click.echo(f"{row}: {len(moved)} of {len(before)} tensors changed")
    best = watch.finish(trainer.state, model)
    model.eval()
    costs.record("train", f"{row}.seed-{seed}", load_seconds=loading, train_seconds=seconds,
                 steps=steps, resumed=bool(resumed), trainable=trainable, total=total,
                 triplets_per_second=len(data) * trainer.state.epoch * (1 - _step(resumed) / steps) / seconds)
    _save(row, seed, model, start, lesson, tune, fit, work / "model")
    finished = {"seed": seed, "trainable": trainable, "total": total, "tensors": len(before), "changed": len(moved),
                "steps": steps, "log": loop.by_step(trainer.state.log_history)}
    if best is not None:
        finished["best_step"] = best
    with publish(work / "finished.json") as draft:
        draft.write_text(json.dumps(finished))
    shutil.rmtree(work / "trainer")


def _step(checkpoint: str | None) -> int:
    """The step that a trainer's checkpoint was written at; 0 where training starts anew."""
    return int(checkpoint.rpartition("-")[2]) if checkpoint else 0


def _arguments(tune, fit, seed: int, every: int, work: Path, on_cpu: bool, router_mapping: dict[str, str]):
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    sampler = BatchSamplers.NO_DUPLICATES if fit.loss.kind == "in-batch" else BatchSamplers.BATCH_SAMPLER
    return SentenceTransformerTrainingArguments(**loop.arguments(tune, fit, seed, work, on_cpu),
                                                save_steps=2 * every, batch_sampler=sampler,
                                                router_mapping=router_mapping)


def _save(row: str, seed: int, model, start: Path, lesson: Path, tune, fit, folder: Path) -> None:
    """The model as it is deployed: adapter merged, unit vectors (every index is searched by cosine), our own card."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    shutil.rmtree(folder, ignore_errors=True)
    if tune.kind in params.ADAPTERS:
        tuning.save_adapter(model, folder / "adapter")
        plain = tuning.merged(encoding.load_encoder(start), folder / "adapter")
        measured = {"start": encoding.load_encoder(start), "unmerged": model, "merged": plain}
        costs.record("latency", f"{row}.seed-{seed}", **costs.latencies(
            **{name: towers.alone(each, "query") for name, each in measured.items()}))
        model = plain
    if not any(isinstance(part, Normalize) for part in model):
        model = SentenceTransformer(modules=[*model, Normalize()])
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.copy(start / "architecture.json", folder / "architecture.json")
    (folder / "README.md").write_text(cards.model_card(
        row, seed, tune.model_dump(), fit.model_dump(), model_folder.describe(start), fingerprint.of_file(lesson)))


def _key(row: str, start: Path, lesson: Path, tune, fit, seed: int, curve) -> str:
    inputs = [fingerprint.of_folder(start), fingerprint.of_file(lesson), fingerprint.of_folder(lesson.parent / "watch")]
    code = [__file__, *(module.__file__ for module in (encoding, regularizers, losses, towers, tuning, validation))]
    return loop.key(row, inputs, tune, fit, seed, code, curve.model_dump())


if __name__ == "__main__":
    main()
