"""Interpolate: a row between its start and itself, without training."""
import json
import shutil
from pathlib import Path

import click

from stages import params
from stages.models import encoding
from stages.models import model_folder
from stages.models import interpolation
from stages.training import validation
from stages.core.errors import UserError
from stages.core.files import publish

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--start", type=folder, required=True, help="the checkpoint that the other row was trained from")
@click.option("--of", type=folder, required=True, help="the other row's models")
@click.option("--triplets", type=folder, required=True, help="the other row's triplets: their validation sample")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of models, one a seed")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="RR@10 on validation by alpha, JSON")
def main(row: str, start: Path, of: Path, triplets: Path, out: Path, log: Path) -> None:
    """Make ROW: start + alpha x (trained - start), for each trained copy, with the alpha that ranks validation best.

    Writes seed-<n>/, a folder that sentence-transformers loads, and what every alpha came to. Among equals the smallest
    alpha, the one nearest to the start, is taken.
    """
    alphas = sorted(params.load().interpolations[row].alphas)
    sample = validation.read_sample(triplets / "watch")
    if sample is None:
        raise UserError(f"{triplets}: holds no validation sample; give its corpus validation queries")
    found = []
    with publish(out) as draft:
        for copy in model_folder.seed_runs(of):
            model, ends = encoding.load_encoder(copy), interpolation.ends(start, copy)
            looks = {}
            for alpha in alphas:
                interpolation.put_between(model, *ends, alpha)
                looks[alpha] = round(validation.reciprocal_rank(model, sample), 6)
            chosen = max(alphas, key=looks.get)
            interpolation.put_between(model, *ends, chosen)
            model.save_pretrained(str(draft / copy.name), create_model_card=False)
            shutil.copy(copy / "architecture.json", draft / copy.name)
            (draft / copy.name / "README.md").write_text(interpolation.card(row, copy.name, chosen))
            found.append({"seed_run": copy.name, "alpha": chosen, "RR@10": looks})
            tried = ", ".join(f"{alpha:g} ({figure:.4f})" for alpha, figure in looks.items())
            click.echo(f"{row}: {copy.name}, alpha {chosen:g} of {tried}")
    with publish(log) as draft:
        draft.write_text(json.dumps({"variant": row, "seed_runs": [], "between": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
