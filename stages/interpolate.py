"""Interpolate: the weights between a base checkpoint and a variant that was trained from it, without training."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stages import params
from stages.core import threads
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import encoding, interpolation, model_folder, precision, reloading
from stages.training import validation

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--checkpoint", type=folder, required=True, help="the base checkpoint of the trained variant")
@click.option("--trained", type=folder, required=True, help="the models of the trained variant, one for each seed")
@click.option("--triplets", type=folder, required=True, help="its triplets, which hold the validation sample")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one for each seed")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="RR@10 on validation by alpha, JSON")
def main(variant: str, checkpoint: Path, trained: Path, triplets: Path, out: Path, log: Path) -> None:
    """Make VARIANT: base + alpha x (trained - base), for each seed, with the alpha that ranks validation best.

    Writes seed-<n>/, a folder that sentence-transformers loads, and what every alpha came to. Among equals the smallest
    alpha, the one nearest to the base checkpoint, is taken.
    """
    study = params.load()
    threads.limit(study.threads)
    block = study.interpolations[variant]
    sample = validation.read_sample(triplets / "validation")
    if sample is None:
        raise UserError(f"{triplets}: holds no validation sample; give its corpus validation queries")
    computed_in = precision.chosen(study.index.precision)
    measure = partial(validation.reciprocal_rank, sample=sample, precision=computed_in)
    base = dict(encoding.load_encoder(checkpoint).named_parameters())
    between = []
    with publish(out) as draft:
        for source in model_folder.seed_runs(trained):
            model = encoding.load_encoder(source)
            interpolation.check(model, base, source)
            alpha, figures = move_to_best(model, base, block.alphas, measure)
            record = {"variant": variant, "seed_run": source.name, "checkpoint": block.checkpoint}
            _write(model, source, {**record, "trained": block.trained, "alpha": alpha}, draft / source.name)
            between.append({"seed_run": source.name, "alpha": alpha, "RR@10": figures})
            listed = ", ".join(f"{alpha:g} ({figure:.4f})" for alpha, figure in figures.items())
            click.echo(f"{variant}: {source.name}, alpha {alpha:g} of {listed}")
    with publish(log) as draft:
        draft.write_text(json.dumps({"variant": variant, "seed_runs": [], "between": between}, indent=1) + "\n")


def move_to_best(
    model: SentenceTransformer, base: interpolation.Weights, alphas: list[float], measure: validation.Measure
) -> tuple[float, dict[float, float]]:
    """Move a trained model to the best of the alphas between `base` and itself; returns it, and each one's measure."""
    trained = interpolation.weights(model)
    figures = {}
    for alpha in sorted(alphas):
        interpolation.put_between(model, base, trained, alpha)
        figures[alpha] = round(measure(model), 6)
    best = max(figures, key=lambda alpha: figures[alpha])
    interpolation.put_between(model, base, trained, best)
    return best, figures


def _write(model: SentenceTransformer, source: Path, record: dict[str, Any], target: Path) -> None:
    model.save_pretrained(str(target), create_model_card=False)
    for path in (source / model_folder.NAME, *source.glob("*.py")):
        shutil.copy(path, target)
    (target / "recipe.json").write_text(json.dumps(record, indent=2) + "\n")
    reloading.check(model, target)


if __name__ == "__main__":
    main()
