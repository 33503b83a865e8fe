"""The page's histograms of the negatives, as Vega-Lite specifications: their ranks, and their score gaps."""

from collections.abc import Mapping
from typing import Any

from stages.negatives.hardness import Audit
from stages.negatives.histograms import GapHistogram, RankHistogram
from stages.reporting import negatives
from stages.reporting.page import vega
from stages.reporting.page.words import minus

HEIGHT = 130
Section = dict[str, Any]


def section(audits: Mapping[str, Audit]) -> Section:
    """The table, and for each block of triplets its panels; panels of one kind have one scale."""
    tallest = {kind: max((_tallest(audit, kind) for audit in audits.values()), default=0.0) for kind in ("rank", "gap")}
    edges = [edge for audit in audits.values() if audit.gaps for edge in audit.gaps.edges]
    reach = (min(edges), max(edges)) if edges else None
    drawn: dict[str, vega.Spec] = {}
    blocks = []
    for number, (name, audit) in enumerate(audits.items()):
        panels = []
        if audit.ranks.window is not None:
            drawn[f"chart-ranks-{number}"] = _ranks(audit.ranks, tallest["rank"], name)
            panels.append({"id": f"chart-ranks-{number}", "says": negatives.spread(audit.ranks)})
        if audit.gaps is not None and reach:
            drawn[f"chart-gaps-{number}"] = _gaps(audit.gaps, tallest["gap"], reach, name)
            mean, above = audit.figures.mean_gap or 0.0, audit.figures.above_positive or 0.0
            says = minus(f"mean {mean:.2f}, {100 * above:.1f} % below 0")
            panels.append({"id": f"chart-gaps-{number}", "says": says})
        blocks.append({"name": name, "panels": panels})
    return {"table": [negatives.table(audits)], "blocks": blocks, "charts": drawn}


def _tallest(audit: Audit, kind: str) -> float:
    histogram = audit.ranks if kind == "rank" else audit.gaps
    if histogram is None or not histogram.counts:
        return 0.0
    return max(bar["share"] for bar in _bins(histogram))


def _bins(histogram: RankHistogram | GapHistogram) -> list[dict[str, Any]]:
    """A record for each bin: its ends, and its share of the triplets in per cent."""
    whole = max(1, sum(histogram.counts))
    ends = zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
    return [
        {"from": low, "to": high, "none": 0, "share": 100 * count / whole, "side": "below" if low < 0 else "above"}
        for low, high, count in ends
    ]


def _ranks(histogram: RankHistogram, tallest: float, name: str) -> vega.Spec:
    return _bars(histogram, tallest, None, "rank of the negative", f"Histogram: ranks of the negatives of {name}")


def _gaps(histogram: GapHistogram, tallest: float, reach: tuple[float, float], name: str) -> vega.Spec:
    return _bars(histogram, tallest, reach, "score, positive − negative", f"Histogram: score gaps of {name}")


def _bars(
    histogram: RankHistogram | GapHistogram, tallest: float, reach: tuple[float, float] | None, title: str, about: str
) -> vega.Spec:
    """Bars; those below 0 have the colour of worse."""
    import altair as alt

    scale = alt.Scale(domain=list(reach)) if reach else alt.Scale(zero=False, nice=False)
    x = alt.X("from:Q", title=title, scale=scale, axis=alt.Axis(grid=False, tickCount=4))
    y = alt.Y("share:Q", title="triplets, %", scale=alt.Scale(domain=[0, tallest or 1]), axis=alt.Axis(tickCount=4))
    colours = alt.Scale(domain=["below", "above"], range=["var(--worse)", "var(--better)"])
    ends = [alt.Tooltip(f"{end}:Q", format=",.4~g") for end in ("from", "to")]
    tooltip = [*ends, alt.Tooltip("share:Q", title="triplets %", format=".1f")]
    bars = alt.Chart(vega.data(_bins(histogram))).mark_rect(stroke="var(--page)", strokeWidth=1)
    colour = alt.Color("side:N", legend=None, scale=colours)
    layer = alt.layer(bars.encode(x=x, x2="to:Q", y=y, y2="none:Q", color=colour, tooltip=tooltip))
    return vega.spec(layer.properties(height=HEIGHT), about, right=8)
