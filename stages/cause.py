"""Cause: why fine-tuning hurts, from the committed runs of the cause study."""

from pathlib import Path

import click

from stages import params
from stages.analysis import cause as analysis
from stages.analysis import cause_abstract, study_runs
from stages.analysis import saturation as saturation_study
from stages.analysis.cause_questions import Questions
from stages.core import yaml_file
from stages.core.errors import UserError
from stages.core.files import publish
from stages.reporting import cause as reporting
from stages.reporting import cause_picture as pictures
from stages.reporting import markdown, style

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(path_type=Path)


@click.command()
@click.option("--questions", type=FILE, required=True, help="what is asked of which pairs of variants, YAML")
@click.option("--runs", type=FOLDER, required=True, help="per-query values and training of the parts that were run")
@click.option("--saturation", type=FILE, required=True, help="the answers of the saturation study, JSON")
@click.option("--page", type=OUT, required=True, help="the page, Markdown")
@click.option("--verdicts", type=OUT, required=True, help="every comparison, JSON")
@click.option("--picture", type=OUT, required=True, help="changes, drift and validation, PNG")
def main(questions: Path, runs: Path, saturation: Path, page: Path, verdicts: Path, picture: Path) -> None:
    """Answer the questions from the runs, with intervals over seeds and queries, and say which were not run.

    The abstract says on which collections each of its sentences holds, and what that says about saturation.

    `python -m studies.cause run` makes the runs; this stage only reads them.
    """
    report = params.load().report
    asked = yaml_file.read(questions, Questions)
    answers = {
        name: analysis.answers(study_runs.read(runs, collection.parts), collection, asked, report)
        for name, collection in asked.collections.items()
    }
    ran = next((collection for collection in answers.values() if collection.variants), None)
    if ran is None:
        raise UserError(f"{runs}: no part of the cause study has been run; python -m studies.cause run")
    found = {name: collection.findings for name, collection in answers.items()}
    abstract = cause_abstract.sentences(asked, found, saturation_study.read_answers(saturation))
    studied = analysis.Studied(abstract, answers, report.significance)
    with publish(page) as draft:
        draft.write_text(markdown.document(reporting.page(studied, report, picture.name)))
    with publish(verdicts) as draft:
        draft.write_text(analysis.as_json(studied))
    with publish(picture) as draft:
        style.save(pictures.draw(studied, asked.sweeps), draft)


if __name__ == "__main__":
    main()
