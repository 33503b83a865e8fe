"""Cause: why the models fell, from the committed runs of the cause study."""
import json
from dataclasses import asdict
from pathlib import Path

import click

from stages import params
from stages.analysis import contrasts
from stages.analysis import geometry
from stages.evaluation import significance
from stages.reporting import cause_page
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.option("--questions", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="what is asked of which pairs of rows, YAML")
@click.option("--runs", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="per-query values and cells of the parts that were run")
@click.option("--page", type=click.Path(path_type=Path), required=True, help="the page, Markdown")
@click.option("--verdicts", type=click.Path(path_type=Path), required=True, help="every pair's figures, JSON")
@click.option("--picture", type=click.Path(path_type=Path), required=True, help="changes, drift and validation")
def main(questions: Path, runs: Path, page: Path, verdicts: Path, picture: Path) -> None:
    """Answer the questions from the runs, with intervals over seeds and queries; what was not run is said so.

    The runs are made by `python -m studies.cause.run run`; this stage only reads them.
    """
    from ruamel.yaml import YAML
    report = params.load().report
    asked = YAML(typ="safe").load(questions.read_text())
    found = {}
    for name, collection in asked["collections"].items():
        measure = collection.get("measure", asked["measure"])
        read = contrasts.read(runs, collection["parts"])
        found[name] = {"title": collection["title"], "measure": measure, "split": collection["split"], "runs": read,
                       "variants": _rows(read, collection["split"], measure, report) if read else [],
                       "geometry": _geometry(read, collection["split"], measure) if read and
                       collection.get("geometry", True) else {},
                       "questions": _answered(read, collection, asked, measure, report)}
    if not any(collection["runs"] for collection in found.values()):
        raise UserError(f"{runs}: no part of the cause study has been run; python -m studies.cause.run run")
    with publish(page) as draft:
        draft.write_text(cause_page.page(found, report, picture.name))
    with publish(verdicts) as draft:
        draft.write_text(json.dumps({name: {key: value for key, value in collection.items() if key != "runs"}
                                     for name, collection in found.items()}, indent=1) + "\n")
    with publish(picture) as draft:
        cause_page.draw(found, asked["sweeps"], draft)


def _rows(runs: dict, split: str, measure: str, report) -> list[dict]:
    """Every row against its own base, with what its training looked like."""
    lines = []
    for row, cell in runs["cells"].items():
        if not cell["seed_runs"]:
            continue
        base = runs["values"][cell["base"], split, measure]
        pair = {"says": row, "variant": runs["values"][row, split, measure], "against": base}
        lines.append({"variant": row, **contrasts.compare(pair, runs["clusters"][split], base.mean(), report),
                      "drift": [round(float(d), 4) for d in contrasts.drift(cell)],
                      "watched": _watched(cell), "loss": [copy["last_loss"] for copy in cell["seed_runs"].values()]})
    return _judged(lines, report)


def _geometry(runs: dict, split: str, measure: str) -> dict[str, dict]:
    """Rank correlation of each figure of the space (mean over copies) with the row's change against its base."""
    spaces, changes = {}, {}
    for row, cell in runs["cells"].items():
        copies = list(cell["seed_runs"].values())
        if copies:
            spaces[row] = {name: sum(copy["geometry"][name] for copy in copies) / len(copies)
                           for name in copies[0]["geometry"]}
            changes[row] = (runs["values"][row, split, measure].mean()
                            - runs["values"][cell["base"], split, measure].mean())
    return {name: asdict(found) for name, found in geometry.correlations(spaces, changes).items()}


def _watched(cell: dict) -> dict[int, float]:
    """Step -> validation RR@10, the mean over copies."""
    steps: dict[int, list[float]] = {}
    for copy in cell["seed_runs"].values():
        for step, value in copy["watched"].items():
            steps.setdefault(int(step), []).append(value)
    return {step: round(sum(values) / len(values), 4) for step, values in sorted(steps.items())}


def _answered(runs: dict | None, collection: dict, asked: dict, measure: str, report) -> list[dict]:
    answered = []
    for question in collection["questions"]:
        named = [pair for entry in question["pairs"] if runs for pair in
                 contrasts.pairs(runs, entry, asked["sweeps"], collection, measure, asked["drifts"])]
        found = [contrasts.compare(pair, runs["clusters"][collection["split"]],
                                   runs["values"]["base", collection["split"], measure].mean(), report)
                 for pair in named if "variant" in pair]
        found = [*_judged(found, report), *(pair for pair in named if "variant" not in pair)]
        answered.append({"ask": question["ask"], "expect": question["expect"], "pairs": found,
                         "answer": contrasts.judge(question, found)})
    return answered


def _judged(found: list[dict], report) -> list[dict]:
    """Each with its p corrected within these, and its verdict; rounded, so that equal runs give equal bytes."""
    for pair, p in zip(found, significance.holm([pair["p"] for pair in found])):
        margin = report.margin / 100 * pair["base"]
        pair |= {"p_family": p, "verdict": significance.verdict(pair, p, report.significance, margin)}
    return [{key: round(value, 6) if isinstance(value, float) else value for key, value in pair.items()}
            for pair in found]


if __name__ == "__main__":
    main()
