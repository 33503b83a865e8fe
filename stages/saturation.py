"""Saturation: whether fine-tuning degrades a checkpoint more, the longer it was trained, from the committed runs."""

from pathlib import Path

import click

from stages import params
from stages.analysis import saturation as analysis
from stages.analysis.saturation_questions import Questions
from stages.core import yaml_file
from stages.core.files import publish
from stages.reporting import markdown, style
from stages.reporting import saturation as reporting

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(path_type=Path)


@click.command()
@click.option("--questions", type=FILE, required=True, help="levels, recipes and what is asked of them, YAML")
@click.option("--runs", type=FOLDER, required=True, help="per-query values and training of the parts that were run")
@click.option("--page", type=OUT, required=True, help="the page, Markdown")
@click.option("--verdicts", type=OUT, required=True, help="every comparison, JSON")
@click.option("--picture", type=OUT, required=True, help="change and value at each level, PNG")
def main(questions: Path, runs: Path, page: Path, verdicts: Path, picture: Path) -> None:
    """Answer the questions from the runs, with intervals over seeds and queries, and say which were not run.

    `python -m studies.saturation run` makes the runs; this stage only reads them.
    """
    report = params.load().report
    asked = yaml_file.read(questions, Questions)
    answers = {
        name: analysis.answers(analysis.read(runs, collection.part), collection, asked, report)
        for name, collection in asked.collections.items()
    }
    with publish(page) as draft:
        draft.write_text(markdown.document(reporting.page(answers, asked, report, picture.name)))
    with publish(verdicts) as draft:
        draft.write_text(analysis.as_json(answers))
    with publish(picture) as draft:
        style.save(reporting.draw(answers, asked), draft)


if __name__ == "__main__":
    main()
