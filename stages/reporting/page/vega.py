"""What the page's Vega-Lite charts share: plain data in, dicts out, legible on a light and a dark page.

Colours are the page's own: text and axes are `currentColor`, marks are CSS variables (--better, --worse, --unclear,
--variant-0 ...) that the page sets for light and for dark.
"""

import json
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
    """Records as a chart's data, numbers in six digits."""
    import altair as alt

    def short(value: Any) -> Any:
        return float(f"{value:.6g}") if isinstance(value, float) else value

    return alt.Data(values=[{key: short(value) for key, value in record.items()} for record in records])


def spec(chart: Any, about: str, right: int) -> Spec:
    """A chart as wide as its element, with `about` as its description and `right` pixels of padding there."""
    padding = {"left": 4, "top": 8, "right": right, "bottom": 4}
    size = {"width": "container", "padding": padding, "autosize": {"type": "fit-x", "contains": "padding"}}
    return _shared(chart.properties(**size, description=about).to_dict())


def records(chart: Spec) -> list[list[dict[str, Any]]]:
    """The records of each layer of a chart that `spec` made."""
    return [chart["datasets"][layer["data"]["name"]] for layer in chart["layer"]]


def _shared(chart: Spec) -> Spec:
    """The same chart with records that several layers draw in it once."""
    names: dict[str, str] = {}
    datasets = {}
    common = chart.pop("data", None)
    for layer in chart["layer"]:
        values = layer.get("data", common)["values"]
        name = names.setdefault(json.dumps(values), f"data-{len(names)}")
        datasets[name] = values
        layer["data"] = {"name": name}
    chart.pop("config", None)  # the page's, which is CONFIG
    return {**chart, "datasets": datasets}
