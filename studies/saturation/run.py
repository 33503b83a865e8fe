"""The saturation study: the base checkpoint trained to several levels, then the study's recipes on each.

`python -m studies.saturation run` does both phases in a clone and goes on where it was stopped; `commands` prints them
as a script for a machine without DVC. The results are committed under reports/saturation.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import IO, Any

import click

from stages.core.errors import UserError
from stages.params import load
from studies import clones, collecting
from studies.saturation import phases
from studies.saturation import script as scripts
from studies.saturation.phases import LEVELS, PARTS, PHASES

WORK = Path(".scratch/saturation")
RESULTS = Path("reports/saturation")
KEPT = "levels.json"  # how the levels were trained


@click.group()
def main() -> None:
    """Does fine-tuning degrade a checkpoint more, the longer it was trained? Both phases, and their results."""


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("phase", type=click.Choice(PHASES))
def params(part: str, phase: str) -> None:
    """Print the params.yaml of one PHASE of PART."""
    click.echo(phases.text(part, phase), nl=False)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--collections",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with msmarco-mini; without it that part is left out",
)
def run(parts: tuple[str, ...], collections: Path | None) -> None:
    """Run PARTS (all by default) one after another from the committed code, and write reports/saturation."""
    for part in parts or PARTS:
        if part != "default" and not collections:
            click.echo(f"{part}: left out; it needs --collections, a folder with {part}'s texts")
        elif not _run(part, collections):
            raise UserError(f"{WORK}/{part}.log: says why the part stopped; then run the same command again")


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("phase", type=click.Choice(PHASES))
def commands(part: str, phase: str) -> None:
    """Print one PHASE of PART as a bash script of the stages' own commands, for a machine without DVC.

    Run it in a folder that holds stages/ and nothing else of this repository: first `levels`, then `recipes` in the
    same folder. It makes nothing twice, so a stopped script is just run again. A corpus or a checkpoint that cannot be
    fetched there is laid under data/ beforehand. JOBS=4 runs four commands at a time.
    """
    click.echo(scripts.script(part, phase, scripts.commands(part, phase)), nl=False)


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--commit", help="the commit that ran, where FOLDER is no clone")
def collect(part: str, folder: Path, out: Path, commit: str | None) -> None:
    """Read what both phases of PART left in FOLDER and write OUT/<part>.parquet (per query) and OUT/<part>.json."""
    study, kept = load(folder / "params.yaml"), folder / LEVELS / KEPT
    training = {
        **collecting.header(part, folder, commit),
        "device": _device(),
        "levels": json.loads(kept.read_text()) if kept.exists() else _levels(part, folder),
        "variants": collecting.variants(folder, study),
    }
    collecting.write(out, part, training, collecting.per_query(folder, study))


def _run(part: str, collections: Path | None) -> bool:
    """Both phases of a part in one clone; True if they ended well."""
    folder, start = WORK / part, time.time()
    clones.make(folder, collections)
    click.echo(f"{part}: begins; tail -f {folder}.log")
    with open(f"{folder}.log", "a") as log:
        done = all(_phase(part, phase, folder, log) for phase in PHASES)
        if done:
            done = clones.collected(folder, ["studies.saturation", "collect", part, ".", str(RESULTS.resolve())], log)
    click.echo(f"{part}: {'done' if done else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    return done


def _phase(part: str, phase: str, folder: Path, log: IO[str]) -> bool:
    """Bring one phase up to date in the clone; levels that are there are not trained again.

    Models and logs of the levels are kept outside data/ and reports/, where the second phase's params.yaml, which does
    not name them, has them removed.
    """
    from stages.core.files import publish

    models = phases.models(part, folder)
    if phase == "levels" and all((folder / LEVELS / level).exists() for level in models):
        return True
    text, targets = phases.text(part, phase, folder), phases.targets(part, phase, folder)
    done = clones.reproduce(folder, text, targets, 1, log=log)
    if done and phase == "levels":
        with publish(folder / LEVELS / KEPT) as draft:
            draft.write_text(json.dumps(_levels(part, folder), indent=1) + "\n")
        for level, model in models.items():
            with publish(folder / LEVELS / level) as draft:
                shutil.copytree(folder / model, draft)
    return done


def _levels(part: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Each level -> the variant that it was trained from, its steps, losses, and the sha256 of its triplets.

    The study is the folder's own where it is a clone.
    """
    from stages.core import fingerprint

    root = folder if (folder / phases.STUDY).is_dir() else Path()
    study = phases.study(part, "levels", root)
    bases = {
        block.checkpoint: name
        for name, block in phases.study(part, "recipes", root).retrievers.items()
        if block.triplets == "none"
    }
    levels: dict[str, dict[str, Any]] = {
        bases[checkpoint]: {"trained_from": None, "steps": 0} for checkpoint in ("minilm", "blank")
    }
    for level, variant in phases.variants(part, root).items():
        block = study.retrievers[variant]
        recipe = study.recipes[block.recipe]
        (log,) = json.loads((folder / f"reports/training/{variant}.json").read_text())["seed_runs"]
        triplets = folder / f"data/triplets/{block.triplets}/seed-{log['seed']}.parquet"
        levels[level] = {
            "trained_from": bases[block.checkpoint],
            **collecting.losses(log),
            "batch": recipe.batch if recipe else None,
            "triplets": fingerprint.of_file(triplets),
        }
    return levels


def _device() -> str:
    """What this machine trains on, as torch names it."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
