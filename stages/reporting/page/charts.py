"""The page's charts of change, of seeds and of validation, as Vega-Lite specifications."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.evaluation.comparison import BETTER, CANNOT_TELL, NO_DIFFERENCE, WORSE, per_cent
from stages.evaluation.results import Result
from stages.reporting.changes import signed
from stages.reporting.page import vega
from stages.reporting.training_logs import TrainingLog


def changes(
    variants: Sequence[str], results: Mapping[str, Result], reach: tuple[float, float], about: str
) -> vega.Spec:
    """Bars of each variant's change against the base in per cent, with intervals and minimum detectable effects.

    In place of a bar there are words where there is no run, and where the base has 0. reach is the
    lowest and highest per cent of the axis.
    """
    import altair as alt

    bars = [vega.change(results[name]) for name in variants if name in results and results[name].change() is not None]
    y = alt.Y(
        "variant:N",
        sort=None,
        title=None,
        scale=alt.Scale(domain=list(variants)),
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8),
    )
    layers = [*_reach(bars, y), *_bars(bars, y, reach)]
    layers += _dots_and_gaps(variants, results, {bar["variant"] for bar in bars}, y)
    layers.append(alt.Chart(vega.data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.6).encode(x="at:Q"))
    return vega.spec(alt.layer(*layers).properties(height=30 * max(2, len(variants))), about, right=8)


def _reach(bars: list[dict[str, Any]], y: Any) -> list[Any]:
    """Behind each bar the changes that its queries could not show: up to its own minimum detectable effect."""
    import altair as alt

    spans = [
        {"variant": bar["variant"], "from": -bar["detectable"], "to": bar["detectable"]}
        for bar in bars
        if bar["detectable"] is not None
    ]
    x = alt.X("from:Q", title="change against the base, %")
    band = alt.Chart(vega.data(spans)).mark_rect(color="currentColor", opacity=0.1, height={"band": 0.92})
    return [band.encode(x=x, x2="to:Q", y=y)]


def _bars(bars: list[dict[str, Any]], y: Any, reach: tuple[float, float]) -> list[Any]:
    import altair as alt

    x = alt.X("change:Q", title="change against the base, %", scale=alt.Scale(domain=list(reach)))
    colours = {BETTER: "var(--better)", WORSE: "var(--worse)"}
    verdicts = [BETTER, WORSE, CANNOT_TELL, NO_DIFFERENCE]
    scale = alt.Scale(domain=verdicts, range=[colours.get(verdict, "var(--unclear)") for verdict in verdicts])
    colour = alt.Color("verdict:N", legend=None, scale=scale)
    detectable = alt.Tooltip("detectable:Q", title="minimum detectable effect %", format=".1f")
    tooltip = [alt.Tooltip("variant:N"), *vega.intervals(), detectable, alt.Tooltip("verdict:N")]
    chart = alt.Chart(vega.data(bars))
    value = alt.Text("change:Q", format="+.1f")
    return [
        chart.mark_bar(height={"band": 0.6}).encode(x=x, y=y, color=colour, tooltip=tooltip),
        chart.mark_rule(color="currentColor", strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y, tooltip=tooltip),
        chart.mark_text(align="left", dx=8, color="currentColor").encode(x=alt.value("width"), y=y, text=value),
    ]


def _dots_and_gaps(variants: Sequence[str], results: Mapping[str, Result], drawn: set[str], y: Any) -> list[Any]:
    """A dot for each seed run where there are several, and words for variants that were not measured."""
    import altair as alt

    seeds = _seed_runs([name for name in variants if name in drawn], results)
    missing = [{"variant": name, "words": _lacking(results.get(name))} for name in variants if name not in drawn]
    change = alt.Tooltip("change:Q", format="+.1f")
    dots = alt.Chart(vega.data(seeds)).mark_point(color="currentColor", size=22)
    words = alt.Chart(vega.data(missing)).mark_text(align="left", dx=8, color="currentColor", opacity=0.7)
    return [
        dots.encode(x="change:Q", y=y, tooltip=["variant:N", "seed_run:N", change]),
        words.encode(x=alt.value("width"), y=y, text="words:N"),
    ]


def _lacking(result: Result | None) -> str:
    compared = result and result.comparison
    return f"{signed(compared.difference, 4)} on a base of 0" if compared else "no run"


def seeds(variants: Sequence[str], results: Mapping[str, Result], about: str) -> vega.Spec:
    """The change of every seed run against the base in per cent, a line from the lowest to the highest."""
    import altair as alt

    runs = _seed_runs([name for name in variants if name in results], results)
    changes = {name: [run["change"] for run in runs if run["variant"] == name] for name in variants}
    spans = [{"variant": name, "low": min(own), "high": max(own)} for name, own in changes.items() if own]
    y = alt.Y("variant:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    x = alt.X("change:Q", title="change against the base, %", scale=alt.Scale(zero=False, padding=12))
    tooltip = ["variant:N", "seed_run:N", alt.Tooltip("change:Q", format="+.1f")]
    line = alt.Chart(vega.data(spans)).mark_rule(color="currentColor", opacity=0.5)
    dots = alt.Chart(vega.data(runs)).mark_point(filled=True, size=60, opacity=0.9, color="var(--better)")
    zero = alt.Chart(vega.data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.6, strokeDash=[4, 3])
    layers = [
        line.encode(x=alt.X("low:Q", title="change against the base, %"), x2="high:Q", y=y),
        dots.encode(x=x, y=y, tooltip=tooltip),
        zero.encode(x="at:Q"),
    ]
    return vega.spec(alt.layer(*layers).properties(height=26 * max(2, len(spans))), about, right=8)


def _seed_runs(variants: Sequence[str], results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """A record for each seed run of the variants that have several."""
    return [
        {"variant": name, "change": per_cent(value - (results[name].base or 0), results[name].base), "seed_run": seed}
        for name in variants
        if len(results[name].by_seed_run) > 1 and results[name].base
        for seed, value in results[name].by_seed_run.items()
    ]


def validation(logs: Mapping[str, TrainingLog], measure: str, lines: vega.Lines, about: str) -> vega.Spec:
    """A measure of the validation sample by step, with a dashed line where models are before training."""
    points: list[dict[str, Any]] = [
        {"variant": name, "seed_run": number, "step": step, "value": value}
        for name, log in logs.items()
        for number, run in enumerate(log.seed_runs)
        for step, value in run.by_step(measure).items()
    ]
    before = sorted({round(point["value"], 6) for point in points if point["step"] == 0})
    return _curves(points, lines, measure, about, before)


def _curves(
    points: list[dict[str, Any]], lines: vega.Lines, title: str, about: str, reference: list[float]
) -> vega.Spec:
    import altair as alt

    chart, names = alt.Chart(vega.data(points)), list(lines)
    x = alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickMinStep=1), scale=alt.Scale(nice=False))
    scale = alt.Scale(zero=False, padding=8)
    colours = [lines[name]["color"] for name in names]
    colour = alt.Color("variant:N", legend=None, scale=alt.Scale(domain=names, range=colours))
    dashes = [lines[name]["dash"] or [1, 0] for name in names]
    dash = alt.StrokeDash("variant:N", legend=None, scale=alt.Scale(domain=names, range=dashes))
    value = alt.Tooltip("mean(value):Q", title=title, format=".3f")
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("step:Q"), value]
    mean = alt.Y("mean(value):Q", title=title, scale=scale)
    rules = alt.Chart(vega.data([{"at": at} for at in reference]))
    layers = [
        rules.mark_rule(color="currentColor", opacity=0.6, strokeDash=[4, 3]).encode(y=alt.Y("at:Q", title=title))
    ]
    if len({point["seed_run"] for point in points}) > 1:
        one = alt.Y("value:Q", title=title, scale=scale)
        thin = chart.mark_line(strokeWidth=1, opacity=0.45)
        layers.append(thin.encode(x=x, y=one, color=colour, strokeDash=dash, detail="seed_run:N"))
    size = 30 if len(points) <= 40 * max(1, len(names)) else 0
    layers += [
        chart.mark_line(strokeWidth=2.2).encode(x=x, y=mean, color=colour, strokeDash=dash),
        chart.mark_point(filled=True, size=size, opacity=1).encode(x=x, y=mean, color=colour, tooltip=tooltip),
        chart.mark_point(size=140, opacity=0, filled=True).encode(x=x, y=mean, tooltip=tooltip),
    ]
    return vega.spec(alt.layer(*layers).properties(height=280), about, right=12)
