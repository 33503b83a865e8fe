"""Plan: from a collection and a model to a params.yaml, with what follows from them and how long it takes."""

import math
import tempfile
from pathlib import Path

import click

from stages import params
from stages.core import fingerprint
from stages.core.errors import UserError
from stages.core.files import publish
from stages.planning import comments, making, model, page, sources, study
from stages.reporting import markdown
from stages.running import costs, ownership

PARAMS = Path("params.yaml")
BACK = "git restore --source=HEAD --staged --worktree . && git clean -fdq reports && dvc checkout"  # as the docs say


@click.command()
@click.option(
    "--collection",
    required=True,
    help="a folder in BEIR layout, or beir:, irds:, hf: or docstrings: with what it names",
)
@click.option("--base", help="the retriever: hub:<id>@<commit>, folder:<path> or package:<name>; as params.yaml has it")
@click.option(
    "--hours",
    default=2.0,
    type=click.FloatRange(min=0, min_open=True),
    show_default=True,
    help="how long the study may take",
)
@click.option("--out", default="reports/plan.md", type=click.Path(path_type=Path), show_default=True, help="the page")
@click.option("--force", is_flag=True, help="write over a params.yaml that was edited")
@click.option("--dry", is_flag=True, help="print the plan and write nothing")
def main(collection: str, base: str | None, hours: float, out: Path, force: bool, dry: bool) -> None:
    """Read COLLECTION, measure the model on it for a minute, and write params.yaml and a page about the plan.

    params.yaml is written whole or not at all, and over nothing but what is committed or what a plan wrote: never over
    one that somebody edited. A plan of the same collection, model and hours stands: it is not measured again.
    """
    if not math.isfinite(hours):
        raise UserError(f"--hours {hours}: say a number of hours, such as 2")
    source = sources.named(collection)
    start = model.start(block := model.block(base, PARAMS))
    inputs = fingerprint.of_values(sources.state(source), block, hours, *model.state(start))
    if ownership.planned_from(PARAMS) == inputs[:12] and not force and not dry:
        click.echo(f"{PARAMS} holds the plan of this collection, model and hours; --force makes it anew")
        return
    if not force and not dry:
        ownership.check(PARAMS)
    made = making.plan(source, block, start, hours)
    text = markdown.document(page.blocks(made))
    click.echo(text)
    if dry:
        return
    written = ownership.marked(inputs, study.text(made.proposal.blocks, comments.head(made), comments.inside(made)))
    _write(written, text, out)
    costs.plan(made.proposal.each, PARAMS)
    click.echo(f"Written: {PARAMS} and {out}. To run it: make reproduce.")
    click.echo(f"{BACK} brings back the committed study, as far as this machine has computed it.")


def _write(written: str, text: str, out: Path) -> None:
    """Write both files, the study once it is known to be one."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "params.yaml").write_text(written)
        params.load(Path(folder) / "params.yaml")
    ownership.write(written, PARAMS)
    with publish(out) as draft:
        draft.write_text(text)


if __name__ == "__main__":
    main()
