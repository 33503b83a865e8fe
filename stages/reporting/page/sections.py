"""The sections of the report page as plain data for its templates: words, tables and charts, no HTML."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from stages.analysis.cause import Answers, Studied
from stages.analysis.contrasts import Contrast
from stages.analysis.diagnosis import Diagnosis
from stages.analysis.transfer import Transfer
from stages.evaluation import choice
from stages.evaluation import results as files
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.params.report import Report
from stages.reporting import answer as answers
from stages.reporting import (
    cause_abstract,
    costs_table,
    hybrids,
    makeup,
    readings,
    results_tables,
    space_table,
    training_table,
    variants_table,
)
from stages.reporting import changes as changed
from stages.reporting import transfer as transfer_page
from stages.reporting.figures import running_means
from stages.reporting.page import charts, scatter
from stages.reporting.page.provenance import link
from stages.reporting.page.vega import Lines
from stages.reporting.page.words import chip, minus
from stages.reporting.table import NOTHING
from stages.reporting.text import plain
from stages.reporting.training_logs import VALIDATED, TrainingLog

Section = dict[str, Any]


def answer(
    study: Study, results: Sequence[Result], logs: Mapping[str, TrainingLog], pairs: Sequence[Pair] = ()
) -> Section:
    """The advice, the changes of the variant that it is about, and the other sentences that open the report."""
    made = choice.choose(study, results)
    first, *rest = answers.paragraphs(study, results, logs, pairs, changes=False)
    measured = [made.in_domain, made.out_of_domain] if made else []
    readings = [_reading(result, study.report) for result in measured if result]
    return {"first": first, "rest": rest, "variant": made.best.variant if made else None, "readings": readings}


def _reading(result: Result, report: Report) -> Section:
    return {
        "target": str(result.target),
        "change": minus(changed.size(result)),
        "interval": minus(f"{100 * (1 - report.significance):g} % interval {changed.ends(result)}"),
        "verdict": chip(result.comparison.verdict if result.comparison else None),
    }


def variants(
    study: Study,
    results: Sequence[Result],
    pairs: Sequence[Pair],
    logs: Mapping[str, TrainingLog],
    diagnosis: Diagnosis,
) -> Section:
    """The tables of variants; each value has the id of its line of the sources."""
    base = variants_table.base_on_part(study, results)
    shown = {**base, **variants_table.readings(study, results)}
    by_target = [files.at(results, target) for target in study.report.targets]
    made_of = {plain(line[0]): line[1:] for line in makeup.table(study).lines}

    def line(name: str) -> Section:
        cells = [
            {"reading": one, "verdict": chip(one.verdict), "link": link(there[name]) if name in there else None}
            for one, there in zip(shown[name], by_target, strict=True)
        ]
        kind, *names = [plain(cell) for cell in made_of.get(name, [""])]
        made = ", ".join(filter(None, [kind if name in study.interpolations or name in study.fusions else "", *names]))
        return {"variant": name, "made": made, "base": name == study.report.base, "cells": cells}

    domains = zip(study.report.targets, variants_table.DOMAINS, strict=False)
    return {
        "groups": [f"{target.measure} {domain}" for target, domain in domains],
        "tables": [
            {"lines": [line(plain(first)) for first, *_ in table.lines], "notes": table.notes, "label": label}
            for label, table in variants_table.tables(study, results).items()
        ],
        "sureness": [variants_table.sureness(study, results)],
        "makeup": [makeup.table(study), *readings.table(study, diagnosis)],
        "pairs": results_tables.pairs(study, pairs, logs),
        "measures": results_tables.measures(study, results),
    }


def changes(study: Study, results: Sequence[Result]) -> Section:
    """One panel a target: its title, what was measured there, and its chart; all on one scale."""
    shown = [name for name in study.variants if name != study.report.base]
    panels = [(target, files.at(results, target)) for target in study.report.targets]
    figures = ("low", "high", "difference")
    every = (one.change(figure) for _, there in panels for one in there.values() for figure in figures)
    ends = [-1.0, 1.0, *(end for end in every if end is not None)]
    spare = 0.05 * (max(ends) - min(ends))
    reach = min(ends) - spare, max(ends) + spare
    drawn = []
    for number, (target, there) in enumerate(panels):
        compared = [one for one in there.values() if one.comparison and not one.on_part]
        first = compared[0] if compared else None
        queries = first.comparison.queries if first and first.comparison else 0
        measured = f"base {first.base:.3f}, {queries:,} queries" if first else "no variant was measured here"
        about = f"Bars: change of each variant on {target}, with intervals"
        chart = charts.changes(shown, there, reach, about)
        panel = {"id": f"chart-changes-{number}", "title": str(target), "measured": measured, "chart": chart}
        drawn.append(panel)
    return {"panels": drawn, "charts": {panel["id"]: panel["chart"] for panel in drawn}}


def transfer(transfer: Transfer) -> Section:
    """What variants cost out of domain; with one set there the averages are those of the main table, and left out."""
    one_set = len(transfer.sets) == 2
    told = ["One collection is out of domain: the table and the chart of variants have its figures."]
    return {
        "average": told if one_set else transfer_page.average(transfer),
        "pictured": not one_set,
        "forgetting": transfer_page.forgetting(transfer),
        "pairs": transfer_page.pairs(transfer),
        "drawn": transfer.out_of_domain,
    }


def curves(study: Study, logs: Mapping[str, TrainingLog], lines: Lines) -> Section:
    """The charts of loss and validation, with a key that gives each variant's first and last mean loss."""
    tuned = {name: logs[name] for name in lines}
    keys = []
    for name, log in tuned.items():
        losses = [list(means.values()) for run in log.seed_runs if (means := running_means(run.by_step("loss")))]
        ends = [fmean(values[end] for values in losses) for end in (0, -1)] if losses else []
        keys.append({"variant": name, **lines[name], "loss": f"loss {ends[0]:.2g} → {ends[1]:.2g}" if ends else ""})
    validated = any(log.validation(VALIDATED) for log in tuned.values())
    drawn = {}
    if tuned:
        drawn["chart-loss"] = charts.loss(tuned, lines, "Lines: training loss of each variant by step")
    if validated:
        about = f"Lines: validation {VALIDATED} of each variant by step"
        drawn["chart-validation"] = charts.validation(tuned, lines, about)
    chosen = (training_table.interpolations(logs), hybrids.weights(study, logs))
    tables = [training_table.training(logs), *(table for table in chosen if table)]
    return {"keys": keys, "validated": validated, "tables": tables, "charts": drawn}


def space(
    study: Study, results: Sequence[Result], diagnosis: Diagnosis, projection: Mapping[str, Any], lines: Lines
) -> Section:
    """Figures of every variant's space over its change, what is said of each figure, and the tables."""
    figures: dict[str, dict[str, float | None]] = {}
    for variant, values in diagnosis.geometry.items():
        for name, value in values.items():
            figures.setdefault(name, {})[variant] = value
    notes = {}
    for name in figures:
        ranked = diagnosis.correlations.get(name)
        notes[name] = "no rank correlation: fewer than three fine-tuned variants"
        if ranked and ranked.rho is not None:
            change = f"Spearman's ρ with the change {ranked.rho:+.2f}, p {changed.p_value(ranked.p)}"
            notes[name] = f"{change}, over {ranked.n} fine-tuned variants"
    here = files.at(results, study.report.in_domain)
    shown = {name: one for name, one in here.items() if name in diagnosis.geometry}
    chart = None
    if any(name in lines for name in shown):
        about = "Points: a figure of each variant's space and its change"
        chart = scatter.scatter(shown, figures, lines, about)
    return {
        "figures": {name: space_table.words(name) for name in figures},
        "notes": notes,
        "table": [space_table.geometry(diagnosis)],
        "projected": [space_table.projection(projection)],
        "drawn": bool(projection["variants"]),
        "charts": {"chart-space": chart} if chart else {},
    }


def costs(
    study: Study,
    results: Sequence[Result],
    logs: Mapping[str, TrainingLog],
    recorded: costs_table.Recorded,
    lines: Lines,
) -> Section:
    """What each variant cost next to its change."""
    here = files.at(results, study.report.in_domain)
    figures = costs_table.by_variant(logs, recorded, study.report.in_domain.corpus)
    compared = {name: one for name, one in here.items() if one.comparison}
    words = {name: changed.signed(compared[name].change()) if name in compared else NOTHING for name in logs}
    shown = {name: one for name, one in here.items() if name in lines}
    drawn = {
        name: figures[name]
        for name in ("seconds", "weights", "steps", "memory")
        if any(variant in shown for variant in figures[name])
    }
    chart = scatter.scatter(shown, drawn, lines, "Points: what each variant cost and its change") if drawn else None
    return {
        "figures": {name: costs_table.HEADS[name] for name in drawn},
        "table": [costs_table.table(figures, words)],
        "machines": costs_table.machines(recorded),
        "charts": {"chart-costs": chart} if chart else {},
    }


def cause(studied: Studied) -> Section:
    """The abstract of the cause study, where any of it was run, and the answered questions of each collection."""
    collections = studied.collections.values()
    ran = studied.abstract and any(collection.variants for collection in collections)
    return {
        "abstract": [cause_abstract.abstract(studied), *cause_abstract.explained(studied)] if ran else [],
        "collections": [_questions(collection) for collection in collections],
    }


def _questions(collection: Answers) -> Section:
    return {
        "title": f"{collection.title}: {collection.measure} on {collection.split}",
        "size": _size(collection),
        "questions": [
            {
                "ask": question.ask,
                "answer": question.answer,
                "contrasts": [_contrast(one) for one in question.contrasts],
            }
            for question in (collection.questions if collection.variants else [])
        ],
    }


def _size(collection: Answers) -> str:
    compared = next((one.contrast.comparison for one in collection.variants if one.contrast.comparison), None)
    if compared is None:
        return "not run"
    return f"{compared.queries:,} queries, {len(collection.variants)} variants, {compared.seed_runs} seeds each"


def _contrast(contrast: Contrast) -> Section:
    compared = contrast.comparison
    if compared is None:
        empty = dict.fromkeys(("change", "interval", "p", "detectable"), NOTHING)
        return {"says": contrast.says, "verdict": chip(contrast.verdict), **empty}
    return {
        "says": contrast.says,
        "verdict": chip(contrast.verdict),
        "change": minus(changed.signed(contrast.change())),
        "interval": minus(changed.interval(contrast)),
        "p": changed.p_value(compared.p_family),
        "detectable": changed.detectable(contrast),
    }
