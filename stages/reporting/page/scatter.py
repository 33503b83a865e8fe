"""The page's chart of each variant's change over a figure that the reader chooses, as a Vega-Lite specification."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from stages.evaluation.results import Result
from stages.reporting.page import vega

LABEL = 17  # height of a label, in pixels
HEIGHT = 360


def scatter(
    results: Mapping[str, Result], figures: Mapping[str, Mapping[str, float | None]], lines: vega.Lines, about: str
) -> vega.Spec:
    """Each variant's change, with its interval, over one figure that the signal `figure` names; points are labelled.

    figures is figure -> variant -> value. A variant without a line was not trained itself (a base model,
    an interpolation) and is drawn as a diamond.
    """
    import altair as alt

    chosen = alt.param(name="figure", value=next(iter(figures), ""))
    chart = alt.Chart(vega.data(_points(results, figures, set(lines)))).transform_filter("datum.figure === figure")
    x = alt.X("value:Q", title=None, scale=alt.Scale(zero=False, nice=True, padding=14), axis=alt.Axis(tickCount=6))
    y = alt.Y("change:Q", title="change against the base, %", scale=alt.Scale(zero=False, padding=14, nice=False))
    colours = [lines[name]["color"] if name in lines else "currentColor" for name in results]
    colour = alt.Color("variant:N", legend=None, scale=alt.Scale(domain=list(results), range=colours))
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("value:Q", title="figure", format=",.4~g"), *vega.intervals()]
    kinds = alt.Scale(domain=["trained", "not trained"], range=["circle", "diamond"])
    shape = alt.Shape("kind:N", legend=None, scale=kinds)
    side = alt.expr("datum.side === 'left' ? 10 : -10")
    names = chart.mark_text(align=alt.expr("datum.side"), dx=side, fontSize=12, color="currentColor")
    zero = alt.Chart(vega.data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.4, strokeDash=[4, 3])
    points = chart.mark_point(filled=True, size=80, opacity=1)
    layers = [
        chart.mark_rule(strokeWidth=1.2, opacity=0.5).encode(x=x, y="low:Q", y2="high:Q", color=colour),
        points.encode(x=x, y=y, color=colour, tooltip=tooltip, shape=shape),
        names.encode(x=x, y="label:Q", text="variant:N"),
        zero.encode(y="at:Q"),
    ]
    return vega.spec(alt.layer(*layers).add_params(chosen).properties(height=HEIGHT), about, right=8)


def _points(
    results: Mapping[str, Result], figures: Mapping[str, Mapping[str, float | None]], trained: set[str]
) -> list[dict[str, Any]]:
    """Points of a scatter, each with the height of its label (apart from the others') and the side it is on."""
    bars = {name: bar for name, result in results.items() if (bar := vega.change(result))["change"] is not None}
    ends = [bar[key] for bar in bars.values() for key in ("low", "high", "change") if bar[key] is not None]
    height = LABEL * (max(ends, default=1) - min(ends, default=0)) / HEIGHT
    labels = dict(zip(bars, apart([bar["change"] for bar in bars.values()], height), strict=True))
    points = []
    for figure, values in figures.items():
        known = {name: value for name, value in values.items() if value is not None and name in bars}
        middle = (min(known.values(), default=0) + max(known.values(), default=0)) / 2
        for name in [name for name in bars if name in known]:
            side = "right" if known[name] > middle else "left"
            kind = "trained" if name in trained else "not trained"
            more = {"figure": figure, "value": known[name], "label": labels[name], "side": side, "kind": kind}
            points.append({**bars[name], **more})
    return points


def apart(values: Sequence[float], least: float) -> list[float]:
    """The values moved as little as a sweep from the middle does, so that any two are at least `least` apart."""
    order = sorted(range(len(values)), key=lambda at: (values[at], at))
    moved = list(values)
    for _ in range(50):
        for lower, upper in pairwise(order):
            lack = least - (moved[upper] - moved[lower])
            if lack > 1e-9:
                moved[lower] -= lack / 2
                moved[upper] += lack / 2
    return moved
