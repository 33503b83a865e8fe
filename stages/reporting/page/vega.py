"""What the page's Vega-Lite charts share: plain data in, dicts out, legible on a light and a dark page.

Colours are the page's own: text and axes are `currentColor`, marks are CSS variables (--better, --worse, --unclear,
--variant-0 ...) that the page sets for light and for dark.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stages.evaluation.comparison import CANNOT_TELL
from stages.evaluation.results import Result
from stages.reporting import style

LIGHT = style.VARIANTS
DARK = ["#A79BF0", "#E58E9F", "#5DBB75", "#88CCEE", "#D873A8", "#C2C24E", "#5FCBBB", "#D98BD9"]
CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": "currentColor",
        "gridOpacity": 0.13,
        "domainColor": "currentColor",
        "domainOpacity": 0.4,
        "tickColor": "currentColor",
        "tickOpacity": 0.4,
        "labelLimit": 220,
        "titlePadding": 8,
    },
}
Spec = dict[str, Any]
Lines = Mapping[str, Mapping[str, Any]]


def lines(variants: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Variant -> {"color", "dash"} as in the PNG pictures, the colour by the name of the page's variable."""
    styles = {}
    for number, (name, line) in enumerate(style.lines(variants).items()):
        dash = [] if line["linestyle"] == "-" else [2 * length for length in line["linestyle"][1]]
        styles[name] = {"color": f"var(--variant-{number % len(LIGHT)})", "dash": dash}
    return styles


def change(result: Result) -> dict[str, Any]:
    """A result as a record: low, high and detectable are None where there is no interval.

    The change is None where the base has 0, and 0 for the base itself.
    """
    compared = result.comparison
    sure = compared is not None and compared.detectable is not None
    return {
        "variant": result.variant,
        "change": result.change() if compared else 0.0,
        "low": result.change("low") if sure else None,
        "high": result.change("high") if sure else None,
        "detectable": result.change("detectable") if sure else None,
        "verdict": (compared.verdict if compared else None) or CANNOT_TELL,
    }


def intervals() -> list[Any]:
    """Tooltips of a change and its interval."""
    import altair as alt

    titles = {"change": "change %", "low": "from", "high": "to"}
    return [alt.Tooltip(f"{name}:Q", title=title, format="+.1f") for name, title in titles.items()]


def data(records: list[dict[str, Any]]) -> Any:
    """Records as a chart's data."""
    import altair as alt

    return alt.Data(values=records)


def spec(chart: Any, about: str, right: int) -> Spec:
    """A chart as wide as its element, with `about` as its description and `right` pixels of padding there."""
    padding = {"left": 4, "top": 8, "right": right, "bottom": 4}
    size = {"width": "container", "padding": padding, "autosize": {"type": "fit-x", "contains": "padding"}}
    return chart.properties(**size, description=about).configure(**CONFIG).to_dict()
