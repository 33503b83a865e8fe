"""Train-reranker: one row's cross-encoders, or its models of late interaction, one a seed."""
import json
import shutil
from pathlib import Path

import click

from stages import params
from stages.core import costs
from stages.core import fingerprint
from stages.models import cross_encoder
from stages.models import encoding
from stages.models import model_folder
from stages.models import late_interaction
from stages.models import towers
from stages.reporting import cross_cards
from stages.reporting import late_cards
from stages.training import gpu
from stages.training import seed_runs
from stages.training import loop
from stages.training import tuning
from stages.training import validation
from stages.training.reranker import cross_encoder_losses
from stages.training.reranker import cross_encoder_training
from stages.training.reranker import cross_encoder_tuning
from stages.training.reranker import late_interaction_training
from stages.training.reranker import reranker_validation
from stages.core.files import publish

TEACHING = {"cross": (cross_encoder_training, cross_cards, cross_encoder, cross_encoder_losses, cross_encoder_tuning),
            "late": (late_interaction_training, late_cards, late_interaction)}
READING = {"cross": cross_encoder, "late": late_interaction}


@click.command()
@click.argument("variant")
@click.option("--start", type=click.Path(exists=True, path_type=Path), required=True, help="the checkpoint's folder")
@click.option("--triplets", type=click.Path(exists=True, path_type=Path), required=True, help="the block's folder")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one a seed")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="loss and learning rate by step, JSON")
def main(row: str, start: Path, triplets: Path, out: Path, log: Path) -> None:
    """Train reranker ROW from its checkpoint on its triplets, once for each seed.

    Writes seed-<n>/, a folder that sentence-transformers' CrossEncoder or, for shape late, MultiVectorEncoder loads (an
    adapter is merged into the weights and kept beside them), and the log. A row with no lesson is its checkpoint, in
    untrained/; a cross-encoder then needs a trained head. Work that was killed goes on from its last checkpoint and
    ends with the same bytes.
    """
    study = params.load()
    names = study.rerankers[row]
    tune, fit = study.tunings[names.tuning], study.recipes[names.recipe]
    shape = model_folder.describe(start)["architecture"]
    if fit is None:
        if shape == "cross":
            cross_encoder.load(start)
        return seed_runs.pretrained(row, start, out, log)
    seed_runs.train(row, "train-reranker", study.seeds, triplets, out, log,
                 key=lambda seed, lesson: _key(row, shape, start, lesson, tune, fit, seed, study.validation_curve.every),
                 one=lambda seed, lesson, work: _train(row, shape, seed, start, lesson, tune, fit, study.validation_curve.every,
                                                       work))


def _train(row: str, shape: str, seed: int, start: Path, lesson: Path, tune, fit, every: int, work: Path) -> None:
    """Train one copy in a workspace; work/model and then work/finished.json appear when it is whole."""
    clock = costs.Clock()
    teaching = TEACHING[shape][0]
    trainer, pairs = teaching.trainer(row, seed, start, lesson, tune, fit, work)
    model = trainer.model
    trainer.add_callback(reranker_validation.callback(validation.read_sample(lesson.parent / "watch"), READING[shape].score,
                                                    fit.precision, every))
    trainable, total = tuning.count(model)
    click.echo(f"{row}, seed {seed}: {trainable:,} of {total:,} parameters are trained "
               f"({100 * trainable / total:.3f} %)")
    before = tuning.snapshot(model)
    resumed = loop.last_checkpoint(work)
    begun = int(resumed.rpartition("-")[2]) if resumed else 0
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
                 pairs_per_second=pairs * trainer.state.epoch * (1 - begun / steps) / seconds)
    teaching.save(model, row, seed, start, lesson, tune, fit, work / "model")
    finished = {"seed": seed, "trainable": trainable, "total": total, "tensors": len(before), "changed": len(moved),
                "steps": steps, "log": loop.by_step(trainer.state.log_history)}
    with publish(work / "finished.json") as draft:
        draft.write_text(json.dumps(finished))
    shutil.rmtree(work / "trainer", ignore_errors=True)


def _key(row: str, shape: str, start: Path, lesson: Path, tune, fit, seed: int, every: int) -> str:
    inputs = [fingerprint.of_folder(start), fingerprint.of_file(lesson), fingerprint.of_folder(lesson.parent / "watch")]
    modules = (*TEACHING[shape], encoding, reranker_validation, towers, tuning, validation)
    return loop.key(row, inputs, tune, fit, seed, [__file__, *(module.__file__ for module in modules)], every)


if __name__ == "__main__":
    main()
