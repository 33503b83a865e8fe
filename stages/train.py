"""Train: one row's models, one a seed."""
import json
import shutil
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages.lib import cards, costs, encoding, fingerprint, losses, params, scratch, starts, tuning, watching
from stages.lib.mistakes import Mistake
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
    on_cpu = model.device.type == "cpu"
    if fit.precision == "float16" and on_cpu:
        raise Mistake(f"retrievers.{row}: its fit asks for precision float16, which needs a GPU; say bfloat16 or float32")
    body = [part for part in model if not isinstance(part, Normalize)]
    model = SentenceTransformer(modules=[*body, Normalize()] if fit.normalize else body, device=str(model.device))
    model.model_card_data.generate_widget_examples = False
    tuning.prepare(model, tune)
    trainable, total = tuning.count(model)
    click.echo(f"{row}: {trainable:,} of {total:,} parameters are trained ({100 * trainable / total:.3f} %)")
    before = tuning.snapshot(model)
    data = Dataset(losses.columns(pq.read_table(lesson), fit.loss))
    watch = watching.callback(watching.read_sample(lesson.parent / "watch"), study.curve, fit.precision)
    trainer = SentenceTransformerTrainer(model=model, args=_arguments(tune, fit, seed, study.curve.every, work, on_cpu),
                                         train_dataset=data, loss=losses.build(model, fit.loss), callbacks=[watch])
    resumed = _last_checkpoint(work)
    loading = clock.lap()
    trainer.train(resume_from_checkpoint=resumed)
    training = clock.lap()
    moved = tuning.changed(model, before)
    click.echo(f"{row}: {len(moved)} of {len(before)} tensors changed")
    model.eval()
    costs.record("train", f"{row}.seed-{seed}", load_seconds=loading, train_seconds=training,
                 steps=trainer.state.max_steps, resumed=bool(resumed), trainable=trainable, total=total,
                 triplets_per_second=len(data) * fit.epochs / training)
    _save(row, seed, model, start, lesson, tune, fit, work / "model")
    finished = {"seed": seed, "trainable": trainable, "total": total, "tensors": len(before), "changed": len(moved),
                "steps": trainer.state.max_steps, "log": _tidy(trainer.state.log_history)}
    with publish(work / "finished.json") as draft:
        draft.write_text(json.dumps(finished))
    shutil.rmtree(work / "trainer")


def _arguments(tune, fit, seed: int, every: int, work: Path, on_cpu: bool):
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    sampler = BatchSamplers.NO_DUPLICATES if fit.loss.kind == "inbatch" else BatchSamplers.BATCH_SAMPLER
    return SentenceTransformerTrainingArguments(
        output_dir=str(work / "trainer"), num_train_epochs=fit.epochs, per_device_train_batch_size=fit.batch,
        learning_rate=tune.lr, weight_decay=fit.weight_decay, max_grad_norm=fit.clip, warmup_steps=fit.warmup,
        lr_scheduler_type="linear", optim="adamw_torch_fused", seed=seed, data_seed=seed, batch_sampler=sampler,
        use_cpu=on_cpu, bf16=fit.precision == "bfloat16", fp16=fit.precision == "float16", save_strategy="steps", save_steps=2 * every,
        save_total_limit=1, logging_strategy="steps", logging_steps=1, report_to="none", dataloader_pin_memory=False)


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
    """What a half-trained copy belongs to: its inputs, its recipe, the code and the libraries that train it."""
    watch = lesson.parent / "watch"
    code = [fingerprint.of_file(Path(path)) for path in (__file__, encoding.__file__, losses.__file__,
                                                         tuning.__file__, watching.__file__)]
    versions = [metadata.version(name) for name in ("torch", "transformers", "sentence-transformers", "peft",
                                                    "accelerate", "datasets")]
    return fingerprint.of_values(row, fingerprint.of_folder(start), fingerprint.of_file(lesson),
                                 fingerprint.of_folder(watch), tune.model_dump(), fit.model_dump(), seed, curve.model_dump(), code,
                                 versions)


def _last_checkpoint(work: Path) -> str | None:
    """The newest whole checkpoint of a killed run: the trainer writes trainer_state.json last."""
    whole = [state.parent for state in (work / "trainer").glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))) if whole else None


def _tidy(history: list[dict]) -> list[dict]:
    """One entry a step with what was logged there: loss, validation RR@10."""
    steps: dict[int, dict] = {}
    for entry in history:
        kept = {key: entry[key] for key in ("loss", "RR@10") if key in entry}
        if kept:
            steps.setdefault(entry["step"], {"step": entry["step"]}).update(kept)
    return [steps[step] for step in sorted(steps)]


if __name__ == "__main__":
    main()
