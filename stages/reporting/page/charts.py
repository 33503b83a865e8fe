"""The page's charts as Vega-Lite specifications: plain data in, dicts out, legible on a light and a dark page.

Colours are the page's own: text and axes are `currentColor`, marks are CSS variables (--better, --worse, --unclear,
--row-0 ...) that the page sets for light and for dark.
"""
import statistics

from stages.reporting import plotting
from stages.evaluation.significance import per_cent

DARK = ["#A79BF0", "#E58E9F", "#5DBB75", "#88CCEE", "#D873A8", "#C2C24E", "#5FCBBB", "#D98BD9"]
LIGHT = plotting.ROWS
LINE = 17          # height of a label, in pixels
HEIGHT = 360
CONFIG = {"background": "transparent", "font": "system-ui, sans-serif", "view": {"stroke": None},
          "axis": {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal",
                   "labelFontSize": 12, "titleFontSize": 12, "gridColor": "currentColor", "gridOpacity": 0.13,
                   "domainColor": "currentColor", "domainOpacity": 0.4, "tickColor": "currentColor",
                   "tickOpacity": 0.4, "labelLimit": 220, "titlePadding": 8}}


def looks(trained: list[str]) -> dict[str, dict]:
    """Row -> {"color", "dash"} as in the PNG pictures, the colour by the name of the page's variable."""
    found = {}
    for place, (row, look) in enumerate(plotting.looks(trained).items()):
        dash = [] if look["linestyle"] == "-" else [2 * length for length in look["linestyle"][1]]
        found[row] = {"color": f"var(--row-{place % len(LIGHT)})", "dash": dash}
    return found


def degradation(rows: list[str], entries: dict[str, dict], reach: tuple[float, float], about: str) -> dict:
    """Bars of each row's change against the base in per cent, with intervals and the band of what is detectable.

    entries maps a row to its entry of results.json; a row without one is said to have no run. reach is the lowest and
    highest per cent of the axis.
    """
    import altair as alt
    drawn = [_change(row, entries[row]) for row in rows if row in entries and entries[row].get("base")]
    seeds = [{"variant": row, "change": per_cent(entries[row], value - entries[row]["base"]), "seed_run": copy}
             for row in rows if row in entries and entries[row]["seeds"] > 1 for copy, value in
             entries[row]["by_seed_run"].items()]
    missing = [{"variant": row} for row in rows if row not in {entry["variant"] for entry in drawn}]
    sizes = [entry["detectable"] for entry in drawn if entry["detectable"] is not None]
    y = alt.Y("row:N", sort=None, title=None, scale=alt.Scale(domain=rows),
              axis=alt.Axis(ticks=False, domain=False, labelPadding=8))
    x = alt.X("change:Q", title="change against the base, %", scale=alt.Scale(domain=list(reach)))
    verdicts = ["better", "worse", "cannot tell", "no difference", "not judged"]
    colour = alt.Color("verdict:N", legend=None, scale=alt.Scale(domain=verdicts, range=[
        "var(--better)", "var(--worse)", "var(--unclear)", "var(--unclear)", "var(--unclear)"]))
    tooltip = [alt.Tooltip("row:N"), *_intervals(alt), alt.Tooltip("detectable:Q", title="detectable %", format=".1f"),
               alt.Tooltip("verdict:N")]
    layers = []
    if sizes:
        half = statistics.median(sizes)
        layers.append(alt.Chart(_data([{"from": -half, "to": half}])).mark_rect(color="currentColor", opacity=0.07)
                      .encode(x=alt.X("from:Q", title="change against the base, %"), x2="to:Q"))
    bars = alt.Chart(_data(drawn))
    layers += [bars.mark_bar(height={"band": 0.6}).encode(x=x, y=y, color=colour, tooltip=tooltip),
               bars.mark_rule(color="currentColor", strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y,
                                                                            tooltip=tooltip),
               bars.mark_text(align="left", dx=8, color="currentColor").encode(
                   x=alt.value("width"), y=y, text=alt.Text("change:Q", format="+.1f")),
               alt.Chart(_data(seeds)).mark_point(color="currentColor", size=22).encode(
                   x="change:Q", y=y, tooltip=["row:N", "copy:N", alt.Tooltip("change:Q", format="+.1f")]),
               alt.Chart(_data(missing)).mark_text(align="left", dx=8, color="currentColor", opacity=0.7).encode(
                   x=alt.value("width"), y=y, text=alt.value("no run")),
               alt.Chart(_data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.6).encode(x="at:Q")]
    return _spec(alt.layer(*layers).properties(height=30 * max(2, len(rows))), about, right=8)


def loss(logs: dict[str, list[list[dict]]], look: dict[str, dict], about: str) -> dict:
    """Training loss by step: the running mean over an eighth of the steps, as a share of its first value."""
    points = []
    for row, copies in logs.items():
        for copy, log in enumerate(copies):
            means = running_means([(entry["step"], entry["loss"]) for entry in log if "loss" in entry])
            if means and means[0][1] > 0:
                points += [{"variant": row, "seed_run": copy, "step": step, "value": value / means[0][1], "loss": value}
                           for step, value in means]
    return _curves(points, look, "share of the first value", about, zero=True, reference=[1.0])


def watched(logs: dict[str, list[list[dict]]], look: dict[str, dict], about: str) -> dict:
    """Validation RR@10 by step, with a dashed line where the untrained model stands."""
    points = [{"variant": row, "seed_run": copy, "step": entry["step"], "value": entry["RR@10"]}
              for row, copies in logs.items() for copy, log in enumerate(copies) for entry in log if "RR@10" in entry]
    starts = sorted({round(point["value"], 4) for point in points if point["step"] == 0})
    return _curves(points, look, "RR@10", about, zero=False, reference=starts)


def running_means(losses: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """(step, mean of the losses of the eighth of all steps that ends there), as the PNG picture draws them."""
    losses = sorted(losses)
    window = max(1, len(losses) // 8)
    return [(losses[end - 1][0], statistics.fmean(value for _, value in losses[end - window:end]))
            for end in range(window, len(losses) + 1)]


def scatter(rows: dict[str, dict], figures: dict[str, dict[str, float]], look: dict[str, dict], about: str) -> dict:
    """Each row's change, with its interval, over one figure that the signal `figure` names; rows are written beside.

    rows maps a row to its entry of results.json, figures a figure's name to row -> value. A row without a look is the
    base or untrained, and drawn as a diamond.
    """
    import altair as alt
    points = _places(rows, figures, set(look))
    colours = [look[row]["color"] if row in look else "currentColor" for row in rows]
    chosen = alt.param(name="figure", value=next(iter(figures), ""))
    chart = alt.Chart(_data(points)).transform_filter("datum.figure === figure")
    x = alt.X("value:Q", title=None, scale=alt.Scale(zero=False, nice=True, padding=14), axis=alt.Axis(tickCount=6))
    y = alt.Y("change:Q", title="change against the base, %", scale=alt.Scale(zero=False, padding=14, nice=False))
    colour = alt.Color("row:N", legend=None, scale=alt.Scale(domain=list(rows), range=colours))
    tooltip = [alt.Tooltip("row:N"), alt.Tooltip("value:Q", title="figure", format=",.4~g"), *_intervals(alt)]
    labels = chart.mark_text(align=alt.expr("datum.side"), dx=alt.expr("datum.side === 'left' ? 10 : -10"), fontSize=12,
                             color="currentColor").encode(x=x, y="label:Q", text="row:N")
    layers = [chart.mark_rule(strokeWidth=1.2, opacity=0.5).encode(x=x, y="low:Q", y2="high:Q", color=colour),
              chart.mark_point(filled=True, size=80, opacity=1).encode(
                  x=x, y=y, color=colour, tooltip=tooltip,
                  shape=alt.Shape("kind:N", legend=None, scale=alt.Scale(domain=["trained", "not trained"],
                                                                         range=["circle", "diamond"]))),
              labels, alt.Chart(_data([{"at": 0}])).mark_rule(color="currentColor", opacity=0.4,
                                                              strokeDash=[4, 3]).encode(y="at:Q")]
    return _spec(alt.layer(*layers).add_params(chosen).properties(height=HEIGHT), about, right=8)


def _change(row: str, entry: dict) -> dict:
    low, change, high = (per_cent(entry, entry.get(key, 0)) for key in ("low", "difference", "high"))
    judged = entry.get("detectable") is not None
    return {"variant": row, "change": change, "low": low if judged else None, "high": high if judged else None,
            "detectable": per_cent(entry, entry["detectable"]) if judged else None,
            "verdict": entry.get("verdict", "not judged")}


def _intervals(alt) -> list:
    return [alt.Tooltip("change:Q", title="change %", format="+.1f"), alt.Tooltip("low:Q", title="from", format="+.1f"),
            alt.Tooltip("high:Q", title="to", format="+.1f")]


def _places(rows: dict[str, dict], figures: dict[str, dict[str, float]], trained: set[str]) -> list[dict]:
    """Points of a scatter, each with the height of its label (apart from the others') and the side it stands on."""
    changes = [_change(row, entry) for row, entry in rows.items()]
    ends = [value for change in changes for value in (change["low"], change["high"], change["change"])
            if value is not None]
    line = LINE * (max(ends, default=1) - min(ends, default=0)) / HEIGHT
    labels = dict(zip([change["variant"] for change in changes], apart([change["change"] for change in changes], line)))
    points = []
    for figure, values in figures.items():
        known = {row: value for row, value in values.items() if value is not None and row in rows}
        middle = (min(known.values(), default=0) + max(known.values(), default=0)) / 2
        points += [{**change, "figure": figure, "value": known[change["variant"]], "label": labels[change["variant"]],
                    "side": "right" if known[change["variant"]] > middle else "left",
                    "kind": "trained" if change["variant"] in trained else "not trained"}
                   for change in changes if change["variant"] in known]
    return points


def apart(values: list[float], least: float) -> list[float]:
    """The values moved as little as a sweep from the middle does, so that any two are at least `least` apart."""
    order = sorted(range(len(values)), key=lambda at: (values[at], at))
    moved = list(values)
    for _ in range(50):
        for lower, upper in zip(order, order[1:]):
            lack = least - (moved[upper] - moved[lower])
            if lack > 1e-9:
                moved[lower] -= lack / 2
                moved[upper] += lack / 2
    return moved


def _curves(points: list[dict], look: dict[str, dict], title: str, about: str, zero: bool, reference: list) -> dict:
    import altair as alt
    rows = list(look)
    chart = alt.Chart(_data(points))
    x = alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickMinStep=1), scale=alt.Scale(nice=False))
    scale = alt.Scale(zero=True, nice=True) if zero else alt.Scale(zero=False, padding=8)
    colour = alt.Color("row:N", legend=None, scale=alt.Scale(domain=rows, range=[look[row]["color"] for row in rows]))
    dash = alt.StrokeDash("row:N", legend=None, scale=alt.Scale(domain=rows, range=[look[row]["dash"] or [1, 0]
                                                                                   for row in rows]))
    tooltip = [alt.Tooltip("row:N"), alt.Tooltip("step:Q"), alt.Tooltip("mean(value):Q", title=title, format=".3f")]
    mean = alt.Y("mean(value):Q", title=title, scale=scale)
    several = len({point["seed_run"] for point in points}) > 1
    layers = [alt.Chart(_data([{"at": at} for at in reference])).mark_rule(
        color="currentColor", opacity=0.6, strokeDash=[4, 3]).encode(y=alt.Y("at:Q", title=title))]
    if several:
        layers.append(chart.mark_line(strokeWidth=1, opacity=0.45).encode(
            x=x, y=alt.Y("value:Q", title=title, scale=scale), color=colour, strokeDash=dash, detail="copy:N"))
    layers += [chart.mark_line(strokeWidth=2.2).encode(x=x, y=mean, color=colour, strokeDash=dash),
               chart.mark_point(filled=True, size=30 if len(points) <= 40 * max(1, len(rows)) and not zero else 0,
                                opacity=1).encode(x=x, y=mean, color=colour, tooltip=tooltip),
               chart.mark_point(size=140, opacity=0, filled=True).encode(x=x, y=mean, tooltip=tooltip)]
    return _spec(alt.layer(*layers).properties(height=280), about, right=12)


def _data(records: list[dict]):
    import altair as alt
    return alt.Data(values=records)


def _spec(chart, about: str, right: int) -> dict:
    return chart.properties(width="container", padding={"left": 4, "top": 8, "right": right, "bottom": 4},
                            autosize={"type": "fit-x", "contains": "padding"},
                            description=about).configure(**CONFIG).to_dict()
