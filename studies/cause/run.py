"""The cause study: every part of studies/cause run through the project's own stages, each in a clone of its own.

`python -m studies.cause run` runs the parts, a thread or more each, and goes on where it was stopped: DVC keeps what is
finished. The results are committed under reports/cause, where `dvc repro cause` judges them.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from stages.core.errors import UserError
from stages.params import Study, load, parse
from studies import clones, collecting, seeding
from studies.cause import by_distance

PARTS = ("default", "default-lora", "msmarco", "medquad", "medquad-margin")
WORK = Path(".scratch/cause")
RESULTS = Path("reports/cause")


@click.group()
def main() -> None:
    """Why does fine-tuning hurt? Controlled contrasts, as variants of params files."""


@main.command()
@click.argument("part", type=click.Choice(PARTS))
def params(part: str) -> None:
    """Print PART's params.yaml: studies/cause/common.yaml with the part's own blocks."""
    click.echo(text_of(part), nl=False)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--jobs",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="parts that run at once; the cores are shared among them",
)
@click.option(
    "--collections",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with msmarco-mini and medquad; without it those parts are left out",
)
@click.option(
    "--seeds", callback=seeding.checked, help="other seeds, such as 1,2,3; their results go to reports/cause-1-2-3"
)
def run(parts: tuple[str, ...], jobs: int, collections: Path | None, seeds: str | None) -> None:
    """Run PARTS (all by default) from the committed code and write their results to reports/cause."""
    chosen = [part for part in parts or PARTS if collections or part.startswith("default")]
    for part in (part for part in parts or PARTS if part not in chosen):
        click.echo(f"{part}: left out; it needs --collections, a folder with {part}'s texts")
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(lambda part: _run(part, jobs, collections, seeds), chosen))
    if failed := [part for part, well in zip(chosen, done, strict=True) if not well]:
        raise UserError(f"{', '.join(failed)}: stopped; see {WORK}/<part>.log, then run the same command again")


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def collect(part: str, folder: Path, out: Path) -> None:
    """Read what a run of PART left in FOLDER and write OUT/<part>.parquet (per query) and OUT/<part>.json."""
    import pyarrow as pa

    study = load(folder / "params.yaml")
    values = pa.concat_tables([collecting.per_query(folder, study), *by_distance.per_query(folder, study)])
    training = {**collecting.header(part, folder), "variants": collecting.variants(folder, study)}
    collecting.write(out, part, training, values)


def text_of(part: str, seeds: str | None = None, root: Path = Path()) -> str:
    """The text of a part's params.yaml; a block of the part takes the place of the common one."""
    return clones.merged([root / f"studies/cause/{name}.yaml" for name in ("common", part)], **seeding.block(seeds))


def study_of(part: str, root: Path = Path()) -> Study:
    from ruamel.yaml import YAML

    return parse(YAML(typ="safe").load(text_of(part, root=root)))


def _run(part: str, jobs: int, collections: Path | None, seeds: str | None) -> bool:
    """One part in its own clone of the commit; True if it ended well."""
    suffix = seeding.suffix(seeds)
    name, folder, out = f"{part}{suffix}", WORK / f"{part}{suffix}", RESULTS.with_name(f"{RESULTS.name}{suffix}")
    clones.make(folder, collections)
    start = time.time()
    click.echo(f"{name}: begins; tail -f {folder}.log")
    with open(f"{folder}.log", "a") as log:
        done = clones.reproduce(folder, text_of(part, seeds, folder), ["evaluate"], 1, jobs, log)
        if done:
            done = clones.collected(folder, ["studies.cause", "collect", part, ".", str(out.resolve())], log, jobs)
    click.echo(f"{name}: {'done' if done else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    return done
