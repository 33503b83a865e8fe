"""Saturation: whether fine-tuning falls the more, the more its start has learned, from the committed runs."""
import json
from pathlib import Path

import click

from stages import params
from stages.analysis import saturation
from stages.reporting import saturation_page
from stages.reporting import saturation_picture
from stages.core.files import publish


@click.command()
@click.option("--questions", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="the ladder, the recipes and what is asked of them, YAML")
@click.option("--runs", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="per-query values and cells of the parts that were run")
@click.option("--page", type=click.Path(path_type=Path), required=True, help="the page, Markdown")
@click.option("--verdicts", type=click.Path(path_type=Path), required=True, help="every figure, JSON")
@click.option("--picture", type=click.Path(path_type=Path), required=True, help="change and value at each start")
def main(questions: Path, runs: Path, page: Path, verdicts: Path, picture: Path) -> None:
    """Answer the questions from the runs, with intervals over seeds and queries; what was not run is said so.

    The runs are made by `python -m studies.saturation.run run`; this stage only reads them.
    """
    from ruamel.yaml import YAML
    report = params.load().report
    asked = YAML(typ="safe").load(questions.read_text())
    found = {name: _judged(saturation.read(runs, place["part"]), asked, place, report)
             for name, place in asked["collections"].items()}
    with publish(page) as draft:
        draft.write_text(saturation_page.page(found, asked, report, picture.name))
    with publish(verdicts) as draft:
        draft.write_text(json.dumps(found, indent=1) + "\n")
    with publish(picture) as draft:
        saturation_picture.draw(found, asked, draft)


def _judged(runs: dict | None, asked: dict, place: dict, report) -> dict:
    """One collection's starts, rows and answers; all empty where it has not been run."""
    told = {"title": place["title"], "split": place["split"], "known": place.get("known"), "measure": asked["measure"]}
    if runs is None:
        return {**told, "starts": [], "variants": [], "questions": [], "source": None}
    questions = []
    for question in asked["questions"]:
        kind = next(kind for kind in saturation.YES if kind in question)
        found = ASKED[kind](runs, question[kind], asked, place, report)
        questions.append({"ask": question["ask"], "kind": kind, "answer": saturation.answer(kind, found),
                          "found": found})
    source = {key: value for key, value in runs["sources"][0].items() if key != "levels"}
    return {**told, "starts": saturation.starts(runs, asked, place, report),
            "variants": saturation.rows(runs, asked, place, report), "questions": questions, "source": source}


ASKED = {"growth": saturation.growths, "less": saturation.less, "last": saturation.last, "floor": saturation.floor}


if __name__ == "__main__":
    main()
