"""The saturation study: the base trained to several levels, then the study's recipes on each; see studies/saturation.

`python -m studies.saturation run` does both phases in a clone and goes on where it was stopped. On a machine
without DVC, `commands` prints them as a script. What was found is committed under reports/saturation.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from studies import clones, collecting

if TYPE_CHECKING:
    from stages.params import Study

PARTS = ("default", "msmarco")
PHASES = ("teach", "apply")
STUDY = Path("studies/saturation")
WORK = Path(".scratch/saturation")
FOUND = Path("reports/saturation")
TAUGHT = Path(".scratch/taught")  # where apply.yaml looks for what teach.yaml made
OUTS = ("--out", "--log", "--queries", "--results", "--pairs", "--metrics")


@click.group()
def main() -> None:
    """Does fine-tuning hurt more, the more the base has learned of the target? Both phases, and what they left."""


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("phase", type=click.Choice(PHASES))
def params(part: str, phase: str) -> None:
    """Print the params.yaml of one PHASE of PART."""
    click.echo(_params(part, phase), nl=False)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--collections",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with msmarco-mini; without it that part is left out",
)
def run(parts: tuple[str, ...], collections: Path | None) -> None:
    """Run PARTS (all by default) one after another from the committed code, and write what they found."""
    for part in parts or PARTS:
        if part != "default" and not collections:
            click.echo(f"{part}: left out; it needs --collections, a folder with {part}'s texts")
        elif not _run(part, collections):
            raise SystemExit(f"{part}: stopped; see {WORK}/{part}.log, then run the same command again")


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("phase", type=click.Choice(PHASES))
def commands(part: str, phase: str) -> None:
    """Print one PHASE of PART as a bash script of the stages' own commands, for a machine without DVC.

    It is run in a folder that holds stages/ and nothing else of this repository: `teach` first, then `apply` in the
    same folder. What is there is not made again, so a stopped script is just run again, and a corpus or a checkpoint
    that cannot be fetched there is laid under data/ beforehand. JOBS=4 runs four commands at a time.
    """
    click.echo(script(part, phase, stage_commands(part, phase)), nl=False)


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--commit", help="the commit that ran, where FOLDER is no clone")
def collect(part: str, folder: Path, out: Path, commit: str | None) -> None:
    """Read what both phases of PART left in FOLDER and write OUT/<part>.parquet (per query) and OUT/<part>.json."""
    import pyarrow.parquet as pq

    from stages.core.files import publish

    study = _study(part, "apply")
    content = {
        **collecting.header(part, folder, commit),
        "device": _device(),
        "levels": _levels(part, folder),
        "variants": collecting.cells(folder, study),
    }
    with publish(out / f"{part}.parquet") as draft:
        pq.write_table(collecting.per_query(folder, study), draft, compression="zstd", compression_level=19)
    with publish(out / f"{part}.json") as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n")


def stage_commands(part: str, phase: str) -> list[str]:
    """The commands of a phase's stages in the order in which DVC would run them, from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("dvc.yaml", folder)
        (Path(folder) / "params.yaml").write_text(_params(part, phase))
        for words in (["init", "-q", "--no-scm"], ["repro", "--dry", "-f", *_targets(part, phase)]):
            done = subprocess.run(
                [*clones.DVC, *words], cwd=folder, env=clones.environment(1), check=True, capture_output=True, text=True
            )
    lines = [line.removeprefix("> ") for line in done.stdout.splitlines() if line.startswith("> ")]
    return [line for line in lines if "stages.code " not in line]  # fingerprints are for DVC alone


def script(part: str, phase: str, lines: list[str]) -> str:
    """Commands as one bash script with the phase's params.yaml; commands of one wave may run at the same time."""
    keep = (
        [
            f"[ -e {TAUGHT}/{level} ] || {{ rm -rf {TAUGHT}/{level}.part && cp -r {model} {TAUGHT}/{level}.part && "
            f"mv {TAUGHT}/{level}.part {TAUGHT}/{level}; }}"
            for level, model in _models(part).items()
        ]
        if phase == "teach"
        else []
    )
    return (
        "\n".join(
            [
                "#!/bin/bash",
                f"# {part}, {phase}: python -m studies.saturation commands --help",
                "set -euo pipefail",
                "[ ! -e dvc.yaml ] || { echo 'run this in a folder of its own: it writes params.yaml'; exit 1; }",
                "all() { xargs -d '\\n' -r -n 1 -P \"${JOBS:-1}\" bash -c; }",
                "cat > params.yaml <<'END'",
                _params(part, phase).rstrip("\n"),
                "END",
                *(
                    line
                    for wave in waves(lines)
                    for line in ["all <<'END'", *(_unless_made(line) for line in wave), "END"]
                ),
                *([f"mkdir -p {TAUGHT}", *keep] if keep else []),
            ]
        )
        + "\n"
    )


def waves(lines: list[str]) -> list[list[str]]:
    """Commands in groups, sorted: each reads what earlier groups wrote, nothing of its own. The first stands alone."""
    groups: list[list[str]] = []
    made: dict[str, int] = {}
    for line in lines:
        words = line.split()
        outs = _outs(words)
        reads = {word for word in words if word.startswith(("data/", "reports/"))} - set(outs)
        at = max(
            (1 + wave for out, wave in made.items() if any(_overlap(out, path) for path in reads)),
            default=min(len(groups), 1),
        )
        groups += [[]] * (at == len(groups))
        groups[at] = [*groups[at], line]
        made |= dict.fromkeys(outs, at)
    return [sorted(wave) for wave in groups]


def _outs(words: list[str]) -> list[str]:
    return [path for option, path in pairwise(words) if option in OUTS]


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _unless_made(line: str) -> str:
    """A command that is left out where its output is there; the last stage's file is there from the phase before."""
    outs = _outs(line.split())
    return line if "stages.evaluate" in line else f"[ -e {outs[0]} ] || {line}"


def _params(part: str, phase: str, root: Path = Path()) -> str:
    return clones.merged([root / STUDY / f"{name}.yaml" for name in ("common", part, phase)])


def _study(part: str, phase: str, root: Path = Path()) -> Study:
    from ruamel.yaml import YAML

    from stages.params import parse

    return parse(YAML(typ="safe").load(_params(part, phase, root)))


def _taught(part: str, root: Path = Path()) -> dict[str, str]:
    """Level -> the variant of teach.yaml that makes it."""
    study = _study(part, "teach", root)
    return {
        f"level-{variant.removeprefix('taught-')}": variant
        for variant, block in study.retrievers.items()
        if study.recipes[block.recipe]
    }


def _models(part: str, root: Path = Path()) -> dict[str, Path]:
    """Level -> where its model lies after the first phase."""
    (seed,) = _study(part, "teach", root).seeds
    return {level: Path("data/models") / variant / f"seed-{seed}" for level, variant in _taught(part, root).items()}


def _targets(part: str, phase: str, root: Path = Path()) -> list[str]:
    return [f"train@{variant}" for variant in _taught(part, root).values()] if phase == "teach" else ["evaluate"]


def _run(part: str, collections: Path | None) -> bool:
    """Both phases of a part in one clone; True if they ended well."""
    folder, start = WORK / part, time.time()
    clones.make(folder, collections)
    click.echo(f"{part}: begins; tail -f {folder}.log")
    with open(f"{folder}.log", "a") as log:
        done = all(_phase(part, phase, folder, log) for phase in PHASES)
        if done:
            command = [sys.executable, "-m", "studies.saturation", "collect", part, str(folder), str(FOUND)]
            done = subprocess.run(command, stdout=log, stderr=log).returncode == 0
    click.echo(f"{part}: {'done' if done else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    return done


def _phase(part: str, phase: str, folder: Path, log: IO[str]) -> bool:
    """Bring one phase up to date in the clone; levels that are kept are not trained again."""
    from stages.core.files import publish

    models = _models(part, folder)
    if phase == "teach" and all((folder / TAUGHT / level).exists() for level in models):
        return True
    done = clones.reproduce(folder, _params(part, phase, folder), _targets(part, phase, folder), 1, log)
    for level, model in models.items() if done and phase == "teach" else ():
        with publish(folder / TAUGHT / level) as draft:
            shutil.copytree(folder / model, draft)
    return done


def _levels(part: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Each level -> the variant that it was trained from, its steps, losses, and the sha256 of its triplets."""
    from stages.core import fingerprint

    study, bases = _study(part, "teach"), {}
    for name, block in _study(part, "apply").retrievers.items():
        if block.triplets == "none":
            bases[block.checkpoint] = name
    levels: dict[str, dict[str, Any]] = {
        bases[checkpoint]: {"trained_from": None, "steps": 0} for checkpoint in ("minilm", "blank")
    }
    for level, variant in _taught(part).items():
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


if __name__ == "__main__":
    main()
