"""What the chosen variant does to single queries: where their relevant passages went, and three examples."""

from typing import Any

from stages.evaluation.examples import SHOWN, Example, Examples
from stages.reporting import examples_table as told
from stages.reporting.page import vega
from stages.reporting.page.words import minus

Section = dict[str, Any]


def section(examples: Examples | None) -> Section:
    """The chart of ranks before and after, what it counts, and the examples; empty where no variant was chosen."""
    if examples is None:
        return {"charts": {}, "shown": []}
    moved = examples.moves
    size = range(len(moved))
    counts = {
        "up": sum(moved[row][column] for row in size for column in size if column < row),
        "down": sum(moved[row][column] for row in size for column in size if column > row),
        "same": sum(moved[at][at] for at in size),
    }
    return {
        "base": examples.base,
        "variant": examples.variant,
        "run": f", {examples.seed_run} of {examples.seed_runs} seed runs" if examples.seed_runs > 1 else "",
        "target": told.measure(examples),
        "counts": {key: f"{count:,}" for key, count in counts.items()},
        "queries": f"{examples.queries:,}",
        "gained": f"{examples.gained:,}",
        "lost": f"{examples.lost:,}",
        "rule": told.RULE,
        "texts": told.shown_as(examples),
        "depth": SHOWN,
        "shown": [_example(one) for one in examples.shown],
        "charts": {"chart-moves": _moves(examples)},
    }


def _example(one: Example) -> Section:
    return {
        "title": told.KINDS[one.kind],
        "query": one.text or one.query,
        "answer": one.answer_text or one.answer,
        "more": one.more,
        "change": minus(f"{one.change:+.3f}"),
        "tone": "better" if one.change > 0 else "worse",
        "ranks": told.ranks(one),
        "sides": [
            {"rank": told.rank(one.rank_before), "hits": one.before},
            {"rank": told.rank(one.rank_after), "hits": one.after},
        ],
    }


def _moves(examples: Examples) -> vega.Spec:
    """Counts of queries by the band of ranks of their first relevant passage, before (rows) and after (columns)."""
    import altair as alt

    bands = list(examples.bands)
    cells = [
        {"before": bands[row], "after": bands[column], "queries": count, "moved": _moved(row, column)}
        for row, counts in enumerate(examples.moves)
        for column, count in enumerate(counts)
    ]
    x = alt.X(
        "after:N",
        sort=bands,
        title=f"rank under {examples.variant}",
        axis=alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False),
    )
    y = alt.Y("before:N", sort=bands, title=f"rank under {examples.base}", axis=alt.Axis(domain=False, ticks=False))
    colours = alt.Scale(domain=["up", "same", "down"], range=["var(--better)", "var(--unclear)", "var(--worse)"])
    opacity = alt.Opacity("queries:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.04, 0.75]))
    chart = alt.Chart(vega.data(cells))
    tooltip = ["before:N", "after:N", alt.Tooltip("queries:Q", format=",")]
    boxes = chart.mark_rect(cornerRadius=3, stroke="var(--page)", strokeWidth=2)
    words = chart.mark_text(color="currentColor", fontSize=13)
    colour = alt.Color("moved:N", legend=None, scale=colours)
    layers = [
        boxes.encode(x=x, y=y, color=colour, opacity=opacity, tooltip=tooltip),
        words.encode(x=x, y=y, text=alt.Text("queries:Q", format=",")),
    ]
    about = "Grid: queries by the rank of their first relevant passage before and after fine-tuning"
    return vega.spec(alt.layer(*layers).properties(height=44 * len(bands)), about, right=4)


def _moved(before: int, after: int) -> str:
    return "same" if before == after else "up" if after < before else "down"
