"""The study of strong recipes, studies/recipes.yaml: what to try first when one fine-tunes a retriever.

`python -m studies.recipes run --collections <folder>` runs it on three collections, each in a clone, and goes on where
it was stopped. The results are committed below reports/recipes; `make readme` puts them into docs/recipes.md.
"""

import json
import shutil
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from stages.core import yaml_file
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import results
from stages.evaluation.results import Result
from stages.params import Study, parse
from stages.reporting import changes
from stages.reporting.table import Cell, Table
from stages.reporting.text import Span, Text, code, strong, text
from studies import clones, collecting, cut, seeding

STUDY = Path("studies/recipes.yaml")
WORK = Path(".scratch/recipes")
RESULTS = Path("reports/recipes")
ADDS = {
    "bm25": "no model",
    "in-batch-hard": "mined negatives of ranks 51 to 200 instead",
    "in-batch-aware": "what the others change: in-batch negatives, and one mined below 0.95 x the positive's score",
    "cached-aware": "batches of 64 instead of 32, by gradient caching",
    "in-batch-four": "four mined negatives a query, half as many queries",
    "kl-late": "with these four: a teacher's order (KL), late interaction as it is",
    "kl-late-tuned": "with these four: a teacher's order (KL), late interaction that was trained",
    "mse-late": "with these four: a teacher's leads (MarginMSE), late interaction as it is",
    "outputs-aware": "an anchor to the base's vectors",
    "scores-aware": "an anchor to the base's similarities",
    "lora-aware": "LoRA instead of all weights",
    "mixed-aware": "two of five triplets of another collection, pandas' documentation",
    "interpolated-aware": "weights between it and the base, chosen on validation",
    "late-tuned": "the trained teacher itself, as a reranker of the base",
}


@dataclass(frozen=True)
class Part:
    """A collection of the study: what it is called in tables, and how its source is cut and read."""

    title: str
    passages: int = 0
    queries: int = 0
    tokens: int = 64

    @property
    def is_given(self) -> bool:
        """Whether its texts are not distributed here, but in the folder of --collections."""
        return self.passages > 0


PARTS = {
    "default": Part("Python documentation"),
    "scifact": Part("SciFact, a cut", 3000, 1000, 96),
    "medquad": Part("MedQuAD, a cut", 3000, 700, 96),
}


@click.group()
def main() -> None:
    """Which recipe to try first? Strong recipes on three collections, in domain and out of domain."""


@main.command()
@click.argument("part", type=click.Choice([*PARTS]))
@click.option("--seeds", callback=seeding.checked, help="other seeds, such as 1,2,3")
def params(part: str, seeds: str | None) -> None:
    """Print PART's params.yaml: studies/recipes.yaml with the part's own collection."""
    click.echo(text_of(part, seeds), nl=False)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice([*PARTS]))
@click.option("--jobs", type=click.IntRange(min=1), help="stages at once; as many as cores and memory allow")
@click.option(
    "--collections",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with scifact and medquad in BEIR layout; without it those parts are left out",
)
@click.option(
    "--seeds", callback=seeding.checked, help="other seeds, such as 1,2,3; their results go to reports/recipes-1-2-3"
)
def run(parts: tuple[str, ...], jobs: int | None, collections: Path | None, seeds: str | None) -> None:
    """Run PARTS (all by default) from the committed code and write their results to reports/recipes."""
    for part in parts or PARTS:
        if collections and PARTS[part].is_given and not (collections / part).is_dir() and not _target(part).exists():
            raise UserError(f"--collections {collections}: has no folder {part}; it reads {part} in BEIR layout there")
    stopped = []
    for part in parts or PARTS:
        if PARTS[part].is_given and not collections:
            click.echo(f"{part}: left out; it needs --collections, a folder with {part}'s texts")
        elif not _run(part, jobs, collections, seeds):
            stopped.append(part)
    if stopped:
        raise UserError(f"{', '.join(stopped)}: stopped; the lines above say why; run the same command again")


def text_of(part: str, seeds: str | None = None, root: Path = Path()) -> str:
    """The text of a part's params.yaml."""
    from ruamel.yaml import YAML

    blocks, own = YAML(typ="safe").load((root / STUDY).read_text()), PARTS[part]
    changed = seeding.block(seeds)
    if own.is_given:
        corpus = {"source": f"beir:collections/{part}", "train": "train", "validation": 100, "judged": {"test": {}}}
        changed["corpora"] = {**blocks["corpora"], "in_domain": corpus}
        changed["base"] = {**blocks["base"], "tokens": own.tokens}
    return clones.merged([root / STUDY], **changed)


def study_of(part: str, seeds: str | None = None) -> Study:
    """A part's params file, parsed."""
    from ruamel.yaml import YAML

    return parse(YAML(typ="safe").load(text_of(part, seeds)))


def _run(part: str, jobs: int | None, collections: Path | None, seeds: str | None) -> bool:
    """One part in its own clone of the commit, with a line for each stage; True if it ended well."""
    suffix = seeding.suffix(seeds)
    folder, out = WORK / f"{part}{suffix}", RESULTS.with_name(f"{RESULTS.name}{suffix}")
    if PARTS[part].is_given and collections:
        _cut(part, collections)
    start = time.time()
    clones.make(folder, WORK / "collections" if PARTS[part].is_given else None)
    click.echo(f"{part}: begins in {folder}")
    done = clones.reproduce(folder, text_of(part, seeds, folder), ["evaluate"], jobs)
    click.echo(f"{part}: {'done' if done else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    if done:
        collect(part, folder, out)
    return done


def _target(part: str) -> Path:
    """Where a part's cut is."""
    return WORK / "collections" / part


def _cut(part: str, collections: Path) -> None:
    """Put a part's collection, cut to its size, where its clone reads it; one that is there stays."""
    target, own = _target(part), PARTS[part]
    if target.exists():
        return
    with publish(target) as draft:
        sizes = ["--passages", str(own.passages), "--queries", str(own.queries)]
        cut.main.main([str(collections / part), str(draft), *sizes], standalone_mode=False)


def collect(part: str, folder: Path, out: Path) -> None:
    """Write OUT/<part>.json, the results that a run left in its folder, and OUT/<part>.run.json, what it ran on."""
    seconds: dict[str, list[float]] = {}
    for path in sorted((folder / "data/costs/train").glob("*.json")):
        seconds.setdefault(path.name.partition(".seed-")[0], []).append(json.loads(path.read_text())["train_seconds"])
    ran = yaml_file.load(folder / "params.yaml")  # of the clone's commit, whose keys may be other ones
    known = {**collecting.header(part, folder), "threads": ran["threads"], "seeds": ran["seeds"]}
    known["train_seconds"] = {variant: round(statistics.mean(each), 1) for variant, each in seconds.items()}
    with publish(out / f"{part}.json") as draft:
        shutil.copy(folder / "reports/results.json", draft)
    with publish(out / f"{part}.run.json") as draft:
        draft.write_text(json.dumps(known, indent=1) + "\n")


def tables(folder: Path = RESULTS) -> list[Table]:
    """What each recipe adds, and changes in domain and out of domain, for each collection that was run; [] if none."""
    found = {part: folder / f"{part}.json" for part in PARTS if (folder / f"{part}.json").is_file()}
    entries = {part: results.read(path) for part, path in found.items()}
    ran = {part: json.loads((folder / f"{part}.run.json").read_text()) for part in found}
    if not found:
        return []
    report = study_of("default").report
    made = [Table(["variant", "what it adds"], [[text(code(variant)), adds] for variant, adds in ADDS.items()])]
    for target, where in zip(report.targets, ("in domain", "out of domain"), strict=True):
        by_part = {part: results.at(each, target) for part, each in entries.items()}
        lines: list[list[Cell]] = [
            ["base", *(f"{here['base'].value:.4f}" for here in by_part.values())],
            *([text(code(variant)), *(_change(here.get(variant)) for here in by_part.values())] for variant in ADDS),
        ]
        heads = [f"{where}, trained on:", *(PARTS[part].title for part in by_part)]
        made.append(
            Table(heads, lines, [_note(target.measure, by_part, ran) if where == "in domain" else _read(found)])
        )
    return made


def told(folder: Path = RESULTS) -> list[Text]:
    """For each collection that has been run, which recipes are shown to be better or worse than the base."""
    sentences = []
    for part in (part for part in PARTS if (folder / f"{part}.json").is_file()):
        entries = results.read(folder / f"{part}.json")
        said: list[str | Span] = [strong(f"{PARTS[part].title}.")]
        for target, where in zip(study_of("default").report.targets, ("In domain", "Out of domain"), strict=True):
            here = results.at(entries, target)
            for verdict in ("better", "worse"):
                said += [f" {where} {verdict} than the base: ", *_shown(here, verdict), "."]
        sentences.append(text(*said))
    return sentences


def _shown(here: dict[str, Result], verdict: str) -> list[str | Span]:
    """The variants with a verdict, from the least change to the largest, and these two changes."""
    found = [result for name in ADDS if (result := here.get(name)) and _verdict(result) == verdict]
    if not found:
        return ["none"]
    found.sort(key=lambda result: result.change() or 0.0)
    least, most = changes.size(found[0]), changes.size(found[-1])
    names: list[str | Span] = [part for result in found for part in (", ", code(result.variant))][1:]
    return [*names, f" ({least} to {most})" if len(found) > 1 else f" ({most})"]


def _verdict(result: Result) -> str:
    return (result.comparison.verdict or "") if result.comparison else ""


def _change(result: Result | None) -> Cell:
    """A variant's change in per cent of the base, its interval, and the verdict; better and worse stand out."""
    if result is None or result.comparison is None:
        return "not measured"
    verdict = _verdict(result)
    said = f"{changes.size(result)} ({changes.ends(result)})"
    return text(said, " ", strong(verdict) if verdict in ("better", "worse") else verdict)


def _note(measure: str, by_part: dict[str, dict[str, Result]], ran: dict[str, dict[str, Any]]) -> Text:
    """What was measured, on how many queries and with which seeds."""
    queries = "; ".join(f"{PARTS[part].title} {_queries(here):,} queries" for part, here in by_part.items())
    seeds = ", ".join(map(str, next(iter(ran.values()))["seeds"]))
    return text(
        f"{measure} on test: {queries}. Changes are in per cent of ",
        code("base"),
        f", with 95 % intervals over queries and seeds ({seeds}); verdicts are corrected (Holm) over the variants of a "
        "collection. A reranker is measured, and compared, on a part of the queries.",
    )


def _read(parts: Iterable[str]) -> Text:
    """What is out of domain, and how much of a text is read."""
    tokens = "; ".join(f"{PARTS[part].title} {PARTS[part].tokens}" for part in parts)
    return text(
        "Out of domain is the documentation of other Python packages, whichever collection was trained on. Texts are "
        f"read to so many tokens: {tokens}."
    )


def _queries(here: dict[str, Result]) -> int:
    return max(result.comparison.queries for result in here.values() if result.comparison)


if __name__ == "__main__":
    main()
