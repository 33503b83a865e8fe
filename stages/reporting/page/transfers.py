"""What variants cost out of domain, as the page shows it: of one set there only what the main table does not have."""

from typing import Any

from stages.analysis.transfer import Transfer
from stages.reporting import transfer as tables
from stages.reporting.page import vega
from stages.reporting.page.scatter import HEIGHT, LABEL, apart

Section = dict[str, Any]


def section(transfer: Transfer, lines: vega.Lines) -> Section:
    """Averages over several sets with their chart, or a sentence about one; LoRA against full fine-tuning."""
    one_set = tables.has_one_set(transfer)
    chart = _chart(transfer, lines) if transfer.out_of_domain and not one_set else None
    return {
        "average": tables.one_set(transfer) if one_set else tables.average(transfer),
        "forgetting": [] if one_set or not transfer.out_of_domain else tables.forgetting(transfer),
        "pairs": tables.pairs(transfer),
        "out_of_domain": transfer.out_of_domain,
        "charts": {"chart-transfer": chart} if chart else {},
    }


def _chart(transfer: Transfer, lines: vega.Lines) -> vega.Spec | None:
    """Each variant by its change in domain and out of domain, and a line from full fine-tuning to LoRA in each pair."""
    import altair as alt

    points = _points(transfer)
    if not points:
        return None
    at = {point["variant"]: point for point in points}
    arrows = [
        {"x": at[pair.full]["x"], "y": at[pair.full]["y"], "x2": at[pair.lora]["x"], "y2": at[pair.lora]["y"]}
        for pair in transfer.pairs
        if pair.full in at and pair.lora in at
    ]
    across, up = f"change of {transfer.measure} in domain, %", "change of its mean out of domain, %"
    x = alt.X("x:Q", title=across, scale=alt.Scale(zero=False, padding=14))
    y = alt.Y("y:Q", title=up, scale=alt.Scale(zero=False, padding=14, nice=False))
    colours = [lines[name]["color"] if name in lines else "currentColor" for name in at]
    colour = alt.Color("variant:N", legend=None, scale=alt.Scale(domain=list(at), range=colours))
    side = alt.expr("datum.side === 'left' ? 10 : -10")
    change = {"format": "+.1f"}
    tooltip = ["variant:N", alt.Tooltip("x:Q", title="in %", **change), alt.Tooltip("y:Q", title="out %", **change)]
    chart, zero = alt.Chart(vega.data(points)), alt.Chart(vega.data([{"at": 0}]))
    names = chart.mark_text(align=alt.expr("datum.side"), dx=side, fontSize=12, color="currentColor")
    layers = [
        zero.mark_rule(color="currentColor", opacity=0.4).encode(y="at:Q"),
        zero.mark_rule(color="currentColor", opacity=0.4).encode(x="at:Q"),
        chart.mark_rule(opacity=0.4).encode(x=x, y=alt.Y("low:Q", title=up), y2="high:Q", color=colour),
        *_joined(arrows, across, up),
        chart.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip),
        names.encode(x=x, y=alt.Y("label:Q", title=up), text="variant:N"),
    ]
    about = "Points: change of each variant in domain and out of domain"
    return vega.spec(alt.layer(*layers).properties(height=HEIGHT), about, right=8)


def _joined(arrows: list[dict[str, float]], across: str, up: str) -> list[Any]:
    import altair as alt

    lines = alt.Chart(vega.data(arrows)).mark_rule(color="currentColor", strokeDash=[3, 3])
    ends = {"x": alt.X("x:Q", title=across), "y": alt.Y("y:Q", title=up), "x2": "x2:Q", "y2": "y2:Q"}
    return [lines.encode(**ends)] if arrows else []


def _points(transfer: Transfer) -> list[dict[str, Any]]:
    """A record for each variant with a change on both sides, but for the base."""
    found: list[dict[str, Any]] = []
    for entry in transfer.variants:
        here, there = entry.in_domain, entry.out_of_domain
        if entry.variant == transfer.base or here is None or there is None:
            continue
        x, y = here.change(), there.change()
        if x is not None and y is not None:
            low, high = there.change("low"), there.change("high")
            found.append({"variant": entry.variant, "x": x, "y": y, "low": low, "high": high})
    ends = [value for point in found for value in (point["low"], point["high"], point["y"]) if value is not None]
    height = LABEL * (max(ends, default=1) - min(ends, default=0)) / HEIGHT
    middle = (min((point["x"] for point in found), default=0) + max((point["x"] for point in found), default=0)) / 2
    labels = apart([point["y"] for point in found], height)
    return [
        {**point, "label": label, "side": "right" if point["x"] > middle else "left"}
        for point, label in zip(found, labels, strict=True)
    ]
