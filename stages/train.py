"""Train: one row's models, one a seed."""
import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages.lib import (cards, costs, encoding, fingerprint, losses, optimizers, params, scratch, starts, training,
                        tuning, watching)
from stages.lib.publish import link, publish


@click.command()
@click.argument("row")
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
    tune, fit = study.tunes[names.tune], study.fits[names.fit]
    history = []
    with ExitStack() as stack, publish(out) as draft:
        if fit is None:
            shutil.copytree(start, draft / "untrained")
        else:
            made = []
            for seed in study.seeds:
                lesson = triplets / f"seed-{seed}.parquet"
                key = _key(row, start, lesson, tune, fit, seed, study.curve)
                work = stack.enter_context(scratch.workspace("train", key))
                if not (work / "finished.json").exists():
                    click.echo(f"{row}: seed {seed}")
                    _train(row, seed, start, lesson, tune, fit, study, work)
                made.append((seed, work))
            for seed, work in made:
                history.append(json.loads((work / "finished.json").read_text()))
                link(work / "model", draft / f"seed-{seed}")
        with publish(log) as text:
            text.write_text(json.dumps({"row": row, "copies": history}, indent=1) + "\n")


def _train(row: str, seed: int, start: Path, lesson: Path, tune, fit, study, work: Path) -> None:
    """Train one copy in a workspace; work/model and then work/finished.json appear when it is whole."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from transformers import set_seed
    clock = costs.Clock()
    set_seed(seed)
    model = encoding.load_encoder(start)
    on_cpu = training.on_cpu(model, fit, f"retrievers.{row}")
    body = [part for part in model if not isinstance(part, Normalize)]
    model = SentenceTransformer(modules=[*body, Normalize()] if fit.normalize else body, device=str(model.device))
    model.model_card_data.generate_widget_examples = False
    tuning.prepare(model, tune)
    trainable, total = tuning.count(model)
    click.echo(f"{row}: {trainable:,} of {total:,} parameters are trained ({100 * trainable / total:.3f} %)")
    before = tuning.snapshot(model)
    data = Dataset(losses.columns(pq.read_table(lesson), fit.loss))
    watch = watching.callback(watching.read_sample(lesson.parent / "watch"), study.curve, fit.precision)
    trainer = SentenceTransformerTrainer(
        model=model, train_dataset=data, loss=losses.build(model, fit.loss),
        args=_arguments(tune, fit, seed, study.curve.every, work, on_cpu),
        callbacks=[watch, training.stopping(fit.stop)],
        optimizer_cls_and_kwargs=optimizers.chosen(tune, fit.weight_decay))
    resumed = training.last_checkpoint(work)
    loading = clock.lap()
    trainer.train(resume_from_checkpoint=resumed)
    seconds = clock.lap()
    steps = trainer.state.global_step
    if steps < trainer.state.max_steps:
        watch.look(trainer.state, model)
    moved = tuning.changed(model, before)
    click.echo(f"{row}: {len(moved)} of {len(before)} tensors changed")
    model.eval()
    costs.record("train", f"{row}.seed-{seed}", load_seconds=loading, train_seconds=seconds,
                 steps=steps, resumed=bool(resumed), trainable=trainable, total=total,
                 triplets_per_second=len(data) * (fit.stop or fit.epochs) / seconds)
    _save(row, seed, model, start, lesson, tune, fit, work / "model")
    finished = {"seed": seed, "trainable": trainable, "total": total, "tensors": len(before), "changed": len(moved),
                "steps": steps, "log": training.by_step(trainer.state.log_history)}
    with publish(work / "finished.json") as draft:
        draft.write_text(json.dumps(finished))
    shutil.rmtree(work / "trainer")


def _arguments(tune, fit, seed: int, every: int, work: Path, on_cpu: bool):
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    sampler = BatchSamplers.NO_DUPLICATES if fit.loss.kind == "inbatch" else BatchSamplers.BATCH_SAMPLER
    return SentenceTransformerTrainingArguments(**training.arguments(tune, fit, seed, work, on_cpu),
                                                save_steps=2 * every, batch_sampler=sampler)


def _save(row: str, seed: int, model, start: Path, lesson: Path, tune, fit, folder: Path) -> None:
    """The model as it is deployed: adapter merged, unit vectors (every index is searched by cosine), our own card."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    shutil.rmtree(folder, ignore_errors=True)
    if tune.kind == "lora":
        tuning.save_adapter(model, folder / "adapter")
        plain = tuning.merged(encoding.load_encoder(start), folder / "adapter")
        costs.record("latency", f"{row}.seed-{seed}", **costs.latencies(
            start=encoding.load_encoder(start), unmerged=model, merged=plain))
        model = plain
    if not any(isinstance(part, Normalize) for part in model):
        model = SentenceTransformer(modules=[*model, Normalize()])
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.copy(start / "start.json", folder / "start.json")
    (folder / "README.md").write_text(cards.model_card(
        row, seed, tune.model_dump(), fit.model_dump(), starts.shape(start), fingerprint.of_file(lesson)))


def _key(row: str, start: Path, lesson: Path, tune, fit, seed: int, curve) -> str:
    inputs = [fingerprint.of_folder(start), fingerprint.of_file(lesson), fingerprint.of_folder(lesson.parent / "watch")]
    code = [__file__, encoding.__file__, losses.__file__, tuning.__file__, watching.__file__]
    return training.key(row, inputs, tune, fit, seed, code, curve.model_dump())


if __name__ == "__main__":
    main()
