"""Train-reranker: one row's cross-encoders, one a seed."""
import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages.lib import (costs, cross_cards, cross_encoding, cross_losses, cross_tuning, fingerprint, gpu, optimizers,
                        params, scratch, starts, training, tuning)
from stages.lib.publish import link, publish

CHECKPOINTS = 10  # whole trainer checkpoints a run, for a resumed one to start from


@click.command()
@click.argument("row")
@click.option("--start", type=click.Path(exists=True, path_type=Path), required=True, help="the checkpoint's folder")
@click.option("--triplets", type=click.Path(exists=True, path_type=Path), required=True, help="the block's folder")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one a seed")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="loss and learning rate by step, JSON")
def main(row: str, start: Path, triplets: Path, out: Path, log: Path) -> None:
    """Train reranker ROW from its checkpoint on its triplets, once for each seed.

    Writes seed-<n>/, a folder that sentence-transformers' CrossEncoder loads (an adapter is merged into the weights
    and kept beside them), and the log. A row with no lesson is its checkpoint, in untrained/, and needs a trained
    head. Work that was killed goes on from its last checkpoint and ends with the same bytes.
    """
    study = params.load()
    names = study.rerankers[row]
    tune, fit = study.tunes[names.tune], study.fits[names.fit]
    history = []
    with ExitStack() as stack, publish(out) as draft:
        if fit is None:
            cross_encoding.load(start)
            shutil.copytree(start, draft / "untrained")
        else:
            made = []
            for seed in study.seeds:
                lesson = triplets / f"seed-{seed}.parquet"
                key = _key(row, start, lesson, tune, fit, seed)
                work = stack.enter_context(scratch.workspace("train-reranker", key))
                if not (work / "finished.json").exists():
                    click.echo(f"{row}: seed {seed}")
                    _train(row, seed, start, lesson, tune, fit, work)
                made.append((seed, work))
            for seed, work in made:
                history.append(json.loads((work / "finished.json").read_text()))
                link(work / "model", draft / f"seed-{seed}")
        with publish(log) as text:
            text.write_text(json.dumps({"row": row, "copies": history}, indent=1) + "\n")


def _train(row: str, seed: int, start: Path, lesson: Path, tune, fit, work: Path) -> None:
    """Train one copy in a workspace; work/model and then work/finished.json appear when it is whole."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from transformers import set_seed
    clock = costs.Clock()
    set_seed(seed)
    model = cross_encoding.load(start, seed)
    model.model_card_data.generate_widget_examples = False
    on_cpu = training.on_cpu(model, fit, f"rerankers.{row}")
    cross_tuning.prepare(model, tune)
    trainable, total = tuning.count(model)
    click.echo(f"{row}: {trainable:,} of {total:,} parameters are trained ({100 * trainable / total:.3f} %)")
    before = tuning.snapshot(model)
    taught = cross_losses.columns(pq.read_table(lesson), fit.loss)
    trainer = CrossEncoderTrainer(
        model=model, train_dataset=Dataset(taught), loss=cross_losses.build(model, fit.loss),
        args=CrossEncoderTrainingArguments(**training.arguments(tune, fit, seed, work, on_cpu),
                                           save_steps=1 / CHECKPOINTS),
        callbacks=[training.stopping(fit.stop)], optimizer_cls_and_kwargs=optimizers.chosen(tune, fit.weight_decay))
    resumed = training.last_checkpoint(work)
    loading = clock.lap()
    with gpu.watched(gpu.reader(model.device)) as busy:
        trainer.train(resume_from_checkpoint=resumed)
    seconds = clock.lap()
    moved = tuning.changed(model, before)
    click.echo(f"{row}: {len(moved)} of {len(before)} tensors changed")
    model.eval()
    steps = trainer.state.global_step
    costs.record("train", f"{row}.seed-{seed}", load_seconds=loading, train_seconds=seconds, steps=steps,
                 resumed=bool(resumed), trainable=trainable, total=total, **busy,
                 pairs_per_second=cross_losses.pairs(taught) * (fit.stop or fit.epochs) / seconds)
    _save(row, seed, model, start, lesson, tune, fit, work / "model")
    finished = {"seed": seed, "trainable": trainable, "total": total, "tensors": len(before), "changed": len(moved),
                "steps": steps, "log": training.by_step(trainer.state.log_history)}
    with publish(work / "finished.json") as draft:
        draft.write_text(json.dumps(finished))
    shutil.rmtree(work / "trainer", ignore_errors=True)


def _save(row: str, seed: int, model, start: Path, lesson: Path, tune, fit, folder: Path) -> None:
    """The model as it is deployed: adapter merged, our own card."""
    shutil.rmtree(folder, ignore_errors=True)
    if tune.kind == "lora":
        tuning.save_adapter(model, folder / "adapter")
        model = tuning.merged(cross_encoding.load(start, seed), folder / "adapter")
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.copy(start / "start.json", folder / "start.json")
    (folder / "README.md").write_text(cross_cards.model_card(
        row, seed, tune.model_dump(), fit.model_dump(), starts.shape(start), fingerprint.of_file(lesson)))


def _key(row: str, start: Path, lesson: Path, tune, fit, seed: int) -> str:
    return training.key(row, [fingerprint.of_folder(start), fingerprint.of_file(lesson)], tune, fit, seed,
                        [__file__, cross_encoding.__file__, cross_losses.__file__, cross_tuning.__file__,
                         tuning.__file__])


if __name__ == "__main__":
    main()
