"""What each section of the page shows, ready for the templates: records and tables, and charts by element id."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.analysis.diagnosis import Diagnosis
from stages.evaluation import choice
from stages.evaluation import results as files
from stages.evaluation.comparison import per_cent
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.params.report import Report
from stages.reporting import answer as answers
from stages.reporting import changes as changed
from stages.reporting import (
    costs_table,
    makeup,
    query_costs,
    readings,
    results_tables,
    space_table,
    variants_table,
)
from stages.reporting.page import charts, scatter
from stages.reporting.page.provenance import link
from stages.reporting.page.vega import Lines
from stages.reporting.page.words import chip, minus
from stages.reporting.table import NOTHING, Table
from stages.reporting.text import plain
from stages.reporting.training_logs import TrainingLog

Section = dict[str, Any]


def answer(
    study: Study, results: Sequence[Result], logs: Mapping[str, TrainingLog], pairs: Sequence[Pair] = ()
) -> Section:
    """The advice, the changes of the variant that it is about, what belongs to it, and what is behind it."""
    made = choice.choose(study, results)
    first, *rest = answers.opening(study, results, pairs, changes=False)
    measured = [made.in_domain, made.out_of_domain] if made else []
    readings = [_reading(result, study.report) for result in measured if result]
    return {
        "first": first,
        "rest": rest,
        "behind": answers.background(study, results, logs, pairs),
        "variant": made.best.variant if made else None,
        "base": study.report.base,
        "model": answers.model(made) if made else None,
        "readings": readings,
    }


def _reading(result: Result, report: Report) -> Section:
    base = result.base or 0.0
    return {
        "target": str(result.target),
        "change": minus(changed.size(result)),
        "moves": f"{base:.4f} → {base + choice.compared(result).difference:.4f}",
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

    def names(table: Table, at: int) -> list[str]:
        """The variants of a part of the table; the base is in the first part alone."""
        there = [plain(first) for first, *_ in table.lines]
        return [name for name in there if at == 0 or name != study.report.base]

    domains = zip(study.report.targets, variants_table.DOMAINS, strict=False)
    sureness = variants_table.sureness(study, results)
    return {
        "groups": [f"{target.measure} {domain}" for target, domain in domains],
        "domains": variants_table.DOMAINS[: len(study.report.targets)],
        "parts": [
            {"lines": [line(name) for name in names(table, at)], "notes": table.notes, "label": label}
            for at, (label, table) in enumerate(variants_table.tables(study, results).items())
        ],
        "detectable": sureness.notes,
        "sureness": [_without(sureness, "minimum detectable")],
        "makeup": [makeup.table(study), *readings.table(study, diagnosis)],
        "pairs": results_tables.pairs(study, pairs, logs),
        "measures": results_tables.measures(study, results),
    }


def _without(table: Table, start: str) -> Table:
    """A table without its notes, and without the columns whose heads begin so: the page has them elsewhere."""
    kept = [at for at, head in enumerate(table.heads) if not plain(head).startswith(start)]
    return Table([table.heads[at] for at in kept], [[line[at] for at in kept] for line in table.lines])


def changes(study: Study, results: Sequence[Result]) -> Section:
    """One panel a target: its title, what was measured there, and its chart; all on one scale; seeds, if several."""
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
    spread = _spread(study, panels[0][1]) if len(study.seeds) > 1 else None
    pictures = [*drawn, *([spread] if spread else [])]
    return {"panels": drawn, "seeds": spread, "charts": {panel["id"]: panel["chart"] for panel in pictures}}


def _spread(study: Study, here: Mapping[str, Result]) -> Section | None:
    """How far seed runs of one recipe lie apart: a chart, and the range of the standard deviations over variants."""
    several = [name for name in study.variants if name in here and len(here[name].by_seed_run) > 1 and here[name].base]
    if not several:
        return None
    spreads = {name: per_cent(here[name].spread or 0.0, here[name].base) or 0.0 for name in several}
    least, most = min(spreads, key=lambda name: spreads[name]), max(spreads, key=lambda name: spreads[name])
    says = (
        f"The standard deviation over {len(study.seeds)} seeds is from {spreads[least]:.1f} % of the base ({least}) to "
        f"{spreads[most]:.1f} % ({most})."
    )
    chart = charts.seeds(several, here, "Points: change of each seed run against the base")
    return {"id": "chart-seeds", "title": str(study.report.in_domain), "says": says, "chart": chart}


def space(study: Study, results: Sequence[Result], diagnosis: Diagnosis, lines: Lines) -> Section:
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
        "charts": {"chart-space": chart} if chart else {},
    }


def costs(
    study: Study,
    results: Sequence[Result],
    logs: Mapping[str, TrainingLog],
    recorded: costs_table.Recorded,
    lines: Lines,
) -> Section:
    """What each variant costs, a query and its training, next to its change."""
    here = files.at(results, study.report.in_domain)
    figures = costs_table.by_variant(logs, recorded, study.report.in_domain.corpus)
    figures["query"] = query_costs.milliseconds(study, recorded, logs, study.report.in_domain)
    compared = {name: one for name, one in here.items() if one.comparison}
    words = {name: changed.signed(compared[name].change()) if name in compared else NOTHING for name in logs}
    trained = {name: one for name, one in here.items() if name in lines}
    asked = {name: one for name, one in here.items() if name in figures["query"]}
    training = {
        name: figures[name]
        for name in ("seconds", "weights", "steps", "memory")
        if any(variant in trained for variant in figures[name])
    }
    drawn = {}
    if asked:
        about = "Points: milliseconds per query of each variant and its change"
        one = {"query": figures["query"]}
        drawn["chart-query"] = scatter.scatter(asked, one, lines, about, title="milliseconds per query")
    if training:
        about = "Points: what training each variant cost and its change"
        drawn["chart-costs"] = scatter.scatter(trained, training, lines, about)
    return {
        "figures": {name: costs_table.HEADS[name] for name in training},
        "asked": bool(asked),
        "note": query_costs.NOTE,
        "table": [costs_table.table(figures, words)],
        "machines": costs_table.machines(recorded),
        "charts": drawn,
    }
