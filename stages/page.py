"""Page: the whole study as one HTML file that asks nothing of the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from stages import params
from stages.analysis import cause as cause_study
from stages.analysis import diagnosis as spaces
from stages.analysis import transfer as transfers
from stages.collections import canonical
from stages.core import costs as recorded
from stages.core.files import publish
from stages.evaluation import examples
from stages.evaluation import results as files
from stages.evaluation.results import Result
from stages.ledger import checked as checked_claims
from stages.negatives import hardness
from stages.params import Study
from stages.reporting import readings, training_logs
from stages.reporting.page import causes, histograms, provenance, queries, render, sections, trained, vega
from stages.reporting.page import claims as claims_section
from stages.reporting.page import transfers as transfers_section

folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)
CONTENTS = {
    "answer": "In one minute",
    "variants": "Variants",
    "changes": "Change against the base",
    "queries": "Single queries",
    "transfer": "Out of domain",
    "training": "Training",
    "searched": "Searches",
    "growing": "Would more training pairs help?",
    "costs": "Cost against quality",
    "space": "Vector space",
    "negatives": "Negatives",
    "cause": "Why fine-tuning hurts",
    "claims": "Claims of the papers",
    "sources": "Where numbers come from",
}
STAGES = {
    "variants": "evaluate",
    "queries": "examples",
    "transfer": "transfer",
    "costs": "costs",
    "space": "diagnose",
    "negatives": "audit",
    "cause": "cause",
    "claims": "claims",
}


@click.command()
@click.option("--results", type=file, required=True, help="means and comparisons with the base, JSON")
@click.option("--pairs", type=file, required=True, help="variants compared with each other, JSON")
@click.option("--examples", type=file, required=True, help="queries before and after, JSON")
@click.option("--training", type=folder, required=True, help="training logs, one for each variant")
@click.option("--transfer", type=file, required=True, help="what variants cost out of domain, JSON")
@click.option("--negatives", type=file, required=True, help="the audit of the triplets, JSON")
@click.option("--diagnosis", type=file, required=True, help="figures of the vector spaces, JSON")
@click.option("--cause", type=file, required=True, help="the answered questions of the cause study, JSON")
@click.option("--claims", type=file, required=True, help="the papers' claims and their verdicts, JSON")
@click.option("--costs", type=click.Path(path_type=Path), required=True, help="seconds and memory of the stages, JSON")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their cards")
@click.option("--models", type=click.Path(path_type=Path), required=True, help="the models of all variants")
@click.option("--runs", type=click.Path(path_type=Path), required=True, help="the runs of all variants")
@click.option("--lock", type=click.Path(dir_okay=False, path_type=Path), required=True, help="dvc.lock, if it is there")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the page")
def main(out: Path, **inputs: Path) -> None:
    """Write the report page: answer, tables, charts, causes, claims, and where every number comes from."""
    study = params.load()
    results = files.read(inputs["results"])
    shown = _sections(study, results, inputs)
    page = {
        **shown,
        "contents": _contents(shown),
        "sources": _sources(study, results, inputs),
        "warnings": [*study.warnings(), *readings.warnings(spaces.read(inputs["diagnosis"]))],
        "charts": {name: chart for section in shown.values() for name, chart in section.get("charts", {}).items()},
    }
    with publish(out) as draft:
        draft.write_text(render.html(page))


def _sections(study: Study, results: Sequence[Result], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Each section of the page by the name that the template knows it by."""
    logs = training_logs.read(inputs["training"], study.variants)
    lines = vega.lines(name for name, log in logs.items() if log.seed_runs)
    diagnosis, pairs = spaces.read(inputs["diagnosis"]), files.read_pairs(inputs["pairs"])
    return {
        "answer": sections.answer(study, results, logs, pairs),
        "variants": sections.variants(study, results, pairs, logs, diagnosis),
        "changes": sections.changes(study, results),
        "queries": queries.section(examples.read(inputs["examples"])),
        "transfer": transfers_section.section(transfers.read(inputs["transfer"]), lines),
        "curves": trained.curves(study, logs, lines),
        "searched": trained.searched(study, logs, pairs),
        "growing": trained.growing(study, results, pairs),
        "space": sections.space(study, results, diagnosis, lines),
        "costs": sections.costs(study, results, logs, recorded.recorded(inputs["costs"]), lines),
        "negatives": histograms.section(hardness.read(inputs["negatives"])),
        "cause": causes.section(cause_study.read(inputs["cause"])),
        "claims": claims_section.section(checked_claims.read(inputs["claims"])),
    }


def _contents(shown: Mapping[str, Any]) -> dict[str, str]:
    """The titles of the sections that the page has, by their ids."""
    empty = {
        "queries": not shown["queries"]["charts"],
        "searched": not shown["searched"]["blocks"],
        "growing": not shown["growing"]["blocks"],
    }
    return {name: title for name, title in CONTENTS.items() if not empty.get(name)}


def _sources(study: Study, results: Sequence[Result], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Where the numbers come from: commit, runs, models, collections, and the stage behind each section."""
    stages = provenance.recorded(inputs["lock"])
    names = ("results", "examples", "training", "transfer", "negatives", "diagnosis", "cause", "claims")
    behind = provenance.lineage(stages, [inputs[name].as_posix() for name in names])
    measures = {target.measure for target in study.report.targets}
    main_results = [result for result in results if result.measure in measures]
    folders = {corpus: inputs["corpora"] / corpus for corpus in study.corpora}
    collections = [
        {
            "corpus": corpus,
            "card": canonical.card(path),
            "folder": provenance.output(stages, f"download@{corpus}", path),
        }
        for corpus, path in folders.items()
    ]
    return {
        "numbers": provenance.numbers(stages, main_results, inputs["runs"], inputs["models"], inputs["corpora"]),
        "lock": inputs["lock"].as_posix(),
        "locked": bool(stages),
        "collections": collections,
        "stages": {section: provenance.stage(stages, name) for section, name in STAGES.items()},
        "commit": provenance.commit(provenance.sources(stages, behind), Path()),
    }


if __name__ == "__main__":
    main()
