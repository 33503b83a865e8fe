"""The cause study as the page shows it: its abstract, two pictures, and the answered questions of each collection."""

from collections.abc import Sequence
from statistics import fmean
from textwrap import wrap
from typing import Any

from stages.analysis.cause import Answers, Studied, VariantChange
from stages.analysis.contrasts import Contrast
from stages.evaluation.comparison import BETTER, CANNOT_TELL, NO_DIFFERENCE, WORSE
from stages.reporting import cause_abstract
from stages.reporting import changes as changed
from stages.reporting.cause_abstract import HARM, MILD
from stages.reporting.page import vega
from stages.reporting.page.words import chip, minus
from stages.reporting.table import NOTHING

Section = dict[str, Any]
LOSSES = {MILD: "the loss of P1's text", HARM: "the loss of P1's code"}


def section(studied: Studied) -> Section:
    """The abstract, where any of the study was run, the charts, and the questions of each collection."""
    collections = studied.collections
    first = next((one for one in collections.values() if one.variants), None)
    drawn = {}
    if first:
        about = "Points: change of each variant over its drift from the base"
        drawn["chart-cause-drift"] = _drift(first.variants, about)
    points = _by_collection(studied)
    if points:
        about = "Points: change of both losses of P1 on each collection, with intervals"
        drawn["chart-cause-losses"] = _losses(points, about)
    told = bool(studied.abstract and first)
    return {
        "abstract": [cause_abstract.abstract(studied)] if told else [],
        "saturation": cause_abstract.explained(studied) if told else [],
        "title": f"{first.title}: {first.measure} on {first.split}" if first else "",
        "collections": [_collection(one) for one in collections.values()],
        "charts": drawn,
    }


def _by_collection(studied: Studied) -> list[dict[str, Any]]:
    """A record for each collection and loss that was compared there."""
    return [
        {
            "collection": "|".join([*wrap(place.collection, 24), *(["(seen before)"] if place.seen else [])]),
            "loss": words,
            "change": change,
            "low": contrast.change("low"),
            "high": contrast.change("high"),
            "verdict": contrast.verdict,
        }
        for finding, words in LOSSES.items()
        if finding in studied.abstract
        for place in studied.abstract[finding].places
        for contrast in place.contrasts
        if (change := contrast.change()) is not None
    ]


def _collection(collection: Answers) -> Section:
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


def _points(variants: Sequence[VariantChange]) -> list[dict[str, Any]]:
    """A record for each variant that has a change in per cent."""
    return [
        {
            "variant": one.variant,
            "change": change,
            "low": one.contrast.change("low"),
            "high": one.contrast.change("high"),
            "drift": fmean(one.drift) if one.drift else None,
            "verdict": one.contrast.verdict or CANNOT_TELL,
        }
        for one in variants
        if (change := one.contrast.change()) is not None
    ]


def _colour() -> Any:
    import altair as alt

    colours = {BETTER: "var(--better)", WORSE: "var(--worse)"}
    verdicts = [BETTER, WORSE, CANNOT_TELL, NO_DIFFERENCE]
    scale = alt.Scale(domain=verdicts, range=[colours.get(verdict, "var(--unclear)") for verdict in verdicts])
    return alt.Color("verdict:N", legend=None, scale=scale)


def _losses(points: list[dict[str, Any]], about: str) -> vega.Spec:
    """Changes with their intervals on each collection, a line a loss; the colour is the verdict's."""
    import altair as alt

    names = list(LOSSES.values())
    chart = alt.Chart(vega.data(points))
    places = list(dict.fromkeys(point["collection"] for point in points))
    axis = alt.Axis(ticks=False, domain=False, labelPadding=8, labelExpr="split(datum.label, '|')")
    y = alt.Y("collection:N", sort=places, title=None, axis=axis)
    offset = alt.YOffset("loss:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.6))
    x = alt.X("change:Q", title="change against the base, %", scale=alt.Scale(padding=8))
    ends = {"x": alt.X("low:Q", title="change against the base, %"), "x2": "high:Q"}
    shape = alt.Shape("loss:N", legend=None, scale=alt.Scale(domain=names, range=["circle", "diamond"]))
    tooltip = [alt.Tooltip("loss:N"), *vega.intervals(), alt.Tooltip("verdict:N")]
    zero = alt.Chart(vega.data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.6)
    points_of = chart.mark_point(filled=True, size=90, opacity=1)
    layers = [
        zero.encode(x="at:Q"),
        chart.mark_rule(strokeWidth=2).encode(y=y, yOffset=offset, color=_colour(), **ends),
        points_of.encode(x=x, y=y, yOffset=offset, shape=shape, color=_colour(), tooltip=tooltip),
    ]
    return vega.spec(alt.layer(*layers).properties(height=max(120, 62 * len(places))), about, right=8)


def _drift(variants: Sequence[VariantChange], about: str) -> vega.Spec:
    """Changes over the drift from the base."""
    import altair as alt

    points = [point for point in _points(variants) if point["drift"] is not None]
    chart = alt.Chart(vega.data(points))
    title = "drift from the base: 1 − mean cosine"
    x = alt.X("drift:Q", title=title, axis=alt.Axis(grid=False), scale=alt.Scale(padding=10, nice=False))
    y = alt.Y("change:Q", title="change against the base, %", scale=alt.Scale(padding=8, nice=False))
    drift = alt.Tooltip("drift:Q", format=".3f")
    tooltip = [alt.Tooltip("variant:N"), drift, *vega.intervals(), alt.Tooltip("verdict:N")]
    zero = alt.Chart(vega.data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.6)
    low = alt.Y("low:Q", title="change against the base, %")
    layers = [
        zero.encode(y="at:Q"),
        chart.mark_rule(strokeWidth=1, opacity=0.5).encode(x=x, y=low, y2="high:Q", color=_colour()),
        chart.mark_point(filled=True, size=60, opacity=0.9).encode(x=x, y=y, color=_colour(), tooltip=tooltip),
    ]
    return vega.spec(alt.layer(*layers).properties(height=300), about, right=8)
