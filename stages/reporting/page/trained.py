"""Training as the page shows it: validation while training, searches with their trials, and the size of training."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.evaluation import growth as shares
from stages.evaluation import results as files
from stages.evaluation.results import Pair, Result
from stages.params import Study
from stages.reporting import growth, hybrids, searches, training_table
from stages.reporting.page import charts, vega
from stages.reporting.training_logs import RERANKED, VALIDATED, Search, TrainingLog

Section = dict[str, Any]


def curves(study: Study, logs: Mapping[str, TrainingLog], lines: vega.Lines) -> Section:
    """The charts of validation, of retrievers and of rerankers, with a key, and the tables."""
    tuned = {name: logs[name] for name in lines}
    drawn, panels, constant, keys = {}, [], [], []
    for number, (measure, kind) in enumerate({VALIDATED: "retrievers", RERANKED: "rerankers"}.items()):
        shown = {name: log for name, log in tuned.items() if log.validation(measure)}
        values = {value for log in shown.values() for run in log.seed_runs for value in run.by_step(measure).values()}
        if len(values) == 1:
            constant.append(f"On their validation sample the {kind} stayed at {measure} {min(values):.3f} throughout.")
        elif values:
            chart = f"chart-validation-{number}"
            about = f"Lines: validation {measure} of each variant by step"
            drawn[chart] = charts.validation(shown, measure, {name: lines[name] for name in shown}, about)
            panels.append({"id": chart, "title": f"Validation {measure}", "of": f"of {kind}"})
            keys += [{"variant": name, **lines[name]} for name in shown]
    chosen = (training_table.interpolations(logs), hybrids.weights(study, logs))
    tables = [training_table.training(logs), *(table for table in chosen if table)]
    return {
        "keys": keys,
        "panels": panels,
        "constant": constant,
        "tables": tables,
        "tuned": bool(tuned),
        "charts": drawn,
    }


def searched(study: Study, logs: Mapping[str, TrainingLog], pairs: Sequence[Pair]) -> Section:
    """The blocks of the searches, and under the name of each picture in them its charts, one for each setting."""
    drawn: dict[str, vega.Spec] = {}
    pictures: dict[str, list[dict[str, str]]] = {}
    for name in study.searches:
        search = logs[name].search
        if search:
            panels = []
            for number, place in enumerate(search.space):
                chart = f"chart-search-{name}-{number}"
                drawn[chart] = _trials(search, place)
                panels.append({"id": chart, "title": place})
            pictures[f"figures/search-{name}.png"] = panels
    return {"blocks": searches.blocks(study, logs, pairs), "pictures": pictures, "charts": drawn}


def growing(study: Study, results: Sequence[Result], pairs: Sequence[Pair]) -> Section:
    """The blocks about the number of training pairs, and the charts in place of their picture, one a target."""
    groups = shares.groups(study)
    drawn, panels = {}, []
    for number, target in enumerate(study.report.targets if groups else []):
        chart = f"chart-growth-{number}"
        drawn[chart] = _growth(study, groups, files.at(results, target), target.measure)
        panels.append({"id": chart, "title": str(target)})
    blocks = growth.blocks(study, results, pairs)
    lines = vega.lines(group[-1] for group in groups)
    keys = [{"variant": f"up to {name}", **line} for name, line in lines.items()]
    return {"blocks": blocks[1:], "keys": keys, "pictures": {"figures/growth.png": panels}, "charts": drawn}


def _trials(search: Search, place: str) -> vega.Spec:
    """The value of each trial over one setting."""
    import altair as alt

    axis = search.space[place]
    words = {search.own: f"the setting of {search.variant}", search.chosen: "chosen"}
    points = [
        {
            "value": trial.params[place] if "choices" not in axis else str(trial.params[place]),
            "validation": trial.curve[max(trial.curve)] if trial.value is None else trial.value,
            "trial": trial.number,
            "kind": words.get(trial.number, "a trial" if trial.value is not None else "ended early"),
        }
        for trial in search.trials
    ]
    kinds = ["chosen", f"the setting of {search.variant}", "a trial", "ended early"]
    colours = alt.Scale(domain=kinds, range=["var(--better)", "var(--worse)", "var(--unclear)", "var(--unclear)"])
    shapes = alt.Scale(domain=kinds, range=["diamond", "square", "circle", "cross"])
    if "choices" in axis:
        choices = [str(choice) for choice in axis["choices"]]
        names = alt.Axis(labelAngle=0)
        x: Any = alt.X("value:N", title=None, sort=choices, scale=alt.Scale(domain=choices), axis=names)
    else:
        kind = {"type": "log"} if axis.get("log") else {"zero": False}
        scale = alt.Scale(**kind, nice=False, padding=14)
        x = alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4, format="~g"))
    y = alt.Y("validation:Q", title="RR@10 on validation", scale=alt.Scale(zero=False, padding=10))
    colour = alt.Color("kind:N", legend=None, scale=colours)
    shape = alt.Shape("kind:N", legend=None, scale=shapes)
    value = "value:N" if "choices" in axis else "value:Q"
    tooltip = ["trial:O", "kind:N", alt.Tooltip(value, title=place), alt.Tooltip("validation:Q", format=".4f")]
    points_chart = alt.Chart(vega.data(points)).mark_point(filled=True, size=90, opacity=0.85)
    layer = alt.layer(points_chart.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip))
    return vega.spec(layer.properties(height=200), f"Points: trials of a search by {place}", right=8)


def _growth(study: Study, groups: Sequence[Sequence[str]], here: Mapping[str, Result], measure: str) -> vega.Spec:
    """Each group's value over its number of triplets, with intervals, and a dashed line at the base's value."""
    import altair as alt

    lines = vega.lines(group[-1] for group in groups)
    points = []
    for group in groups:
        for name in group:
            result = here.get(name)
            if result and result.comparison:
                sure = result.comparison.detectable is not None
                at = result.base or 0.0
                points.append(
                    {
                        "variant": name,
                        "group": group[-1],
                        "triplets": study.triplets[study.retrievers[name].triplets].count,
                        "value": result.value,
                        "low": at + result.comparison.low if sure else None,
                        "high": at + result.comparison.high if sure else None,
                    }
                )
    base = here.get(study.report.base)
    colours = alt.Scale(domain=list(lines), range=[line["color"] for line in lines.values()])
    colour = alt.Color("group:N", legend=None, scale=colours)
    scale = alt.Scale(type="log", base=2, nice=False, padding=20)
    x = alt.X("triplets:Q", title="training triplets", scale=scale, axis=alt.Axis(grid=False, format=",d"))
    y = alt.Y("value:Q", title=measure, scale=alt.Scale(zero=False, padding=10))
    tooltip = ["variant:N", alt.Tooltip("triplets:Q", format=","), alt.Tooltip("value:Q", format=".4f")]
    chart = alt.Chart(vega.data(points))
    rule = alt.Chart(vega.data([{"at": base.value}] if base else []))
    layers = [
        rule.mark_rule(color="currentColor", opacity=0.6, strokeDash=[4, 3]).encode(y=alt.Y("at:Q", title=measure)),
        chart.mark_rule(opacity=0.5).encode(x=x, y=alt.Y("low:Q", title=measure), y2="high:Q", color=colour),
        chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
        chart.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip),
    ]
    return vega.spec(alt.layer(*layers).properties(height=260), f"Lines: {measure} by training triplets", right=12)
