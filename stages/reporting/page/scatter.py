"""The page's chart of each variant's change over a figure that the reader chooses, as a Vega-Lite specification."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from stages.evaluation.results import Result
from stages.reporting.page import vega

LABEL = 17  # height of a label, in pixels
HEIGHT = 360


def scatter(
    results: Mapping[str, Result],
    figures: Mapping[str, Mapping[str, float | None]],
    lines: vega.Lines,
    about: str,
    title: str | None = None,
) -> vega.Spec:
    """Each variant's change, with its interval, over one figure that the signal `figure` names; points are labelled.

    figures is figure -> variant -> value. A variant without a line was not trained itself (a base model,
    an interpolation) and is drawn as a diamond. With a `title` the horizontal axis has that, and orders of magnitude.
    """
    import altair as alt

    chosen = alt.param(name="figure", value=next(iter(figures), ""))
    points = _points(results, figures, set(lines), log=title is not None)
    chart = alt.Chart(vega.data(points)).transform_filter("datum.figure === figure")
    scale = alt.Scale(type="log", nice=False, padding=16) if title else alt.Scale(zero=False, nice=True, padding=14)
    axis = alt.Axis(tickCount=6, **({"format": "~g"} if title else {}))
    x = alt.X("value:Q", title=title, scale=scale, axis=axis)
    y = alt.Y("change:Q", title="change against the base, %", scale=alt.Scale(zero=False, padding=14, nice=False))
    colours = [lines[name]["color"] if name in lines else "currentColor" for name in results]
    colour = alt.Color("variant:N", legend=None, scale=alt.Scale(domain=list(results), range=colours))
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("value:Q", title="figure", format=",.4~g"), *vega.intervals()]
    kinds = alt.Scale(domain=["trained", "not trained"], range=["circle", "diamond"])
    shape = alt.Shape("kind:N", legend=None, scale=kinds)
    side = alt.expr("datum.side === 'left' ? 10 : -10")
    names = chart.mark_text(align=alt.expr("datum.side"), dx=side, fontSize=12, color="currentColor")
    zero = alt.Chart(vega.data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.4, strokeDash=[4, 3])
    marks = chart.mark_point(filled=True, size=80, opacity=1)
    layers = [
        chart.mark_rule(strokeWidth=1.2, opacity=0.5).encode(x=x, y="low:Q", y2="high:Q", color=colour),
        marks.encode(x=x, y=y, color=colour, tooltip=tooltip, shape=shape),
        names.encode(x=x, y="label:Q", text="variant:N"),
        zero.encode(y="at:Q"),
    ]
    right = 90 if title else 8  # room for the labels of the slowest
    return vega.spec(alt.layer(*layers).add_params(chosen).properties(height=HEIGHT), about, right)


def _points(
    results: Mapping[str, Result], figures: Mapping[str, Mapping[str, float | None]], trained: set[str], log: bool
) -> list[dict[str, Any]]:
    """Points of a scatter, each with the height of its label (apart from its neighbours') and the side it is on."""
    bars = {name: bar for name, result in results.items() if (bar := vega.change(result))["change"] is not None}
    ends = [bar[key] for bar in bars.values() for key in ("low", "high", "change") if bar[key] is not None]
    height = LABEL * (max(ends, default=1) - min(ends, default=0)) / HEIGHT
    points = []
    for figure, values in figures.items():
        known = {name: value for name, value in values.items() if value is not None and name in bars}
        across = {name: math.log(value) if log else value for name, value in known.items()}
        middle = (min(across.values(), default=0) + max(across.values(), default=0)) / 2
        labels: dict[str, float] = {}
        for names in _neighbours(across):
            labels |= zip(names, apart([bars[name]["change"] for name in names], height), strict=True)
        for name in [name for name in bars if name in known]:
            side = "right" if across[name] > middle and not log else "left"
            kind = "trained" if name in trained else "not trained"
            more = {"figure": figure, "value": known[name], "label": labels[name], "side": side, "kind": kind}
            points.append({**bars[name], **more})
    return points


def _neighbours(across: Mapping[str, float]) -> list[list[str]]:
    """The names in groups whose labels may meet: a gap of a fifth of the width parts two groups."""
    order = sorted(across, key=lambda name: across[name])
    gap = (across[order[-1]] - across[order[0]]) / 5 if order else 0
    groups: list[list[str]] = []
    for before, name in zip([None, *order], order, strict=False):
        if before is None or across[name] - across[before] > gap:
            groups.append([])
        groups[-1].append(name)
    return groups


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
