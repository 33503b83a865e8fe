"""The page's HTML from its sections: templates, style and charts in one file that fetches nothing."""

import base64
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.reporting.page import vega
from stages.reporting.page.words import minus


def html(page: Mapping[str, Any]) -> str:
    """The whole page; `charts` of it is element id -> specification.

    Raises ValueError when the charts' JavaScript could not be put in a script of the page.
    """
    import vl_convert
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["minus"] = minus
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    for mark in ("</script", "<script", "<!--"):
        if mark in bundle.lower():
            raise ValueError(f"the charts' JavaScript holds {mark}, which would end or hide a script of the page")
    colours = {"light": vega.LIGHT, "dark": vega.DARK}
    return templates.get_template("page.html.j2").render(**page, **colours, bundle=Markup(bundle))


def picture(path: Path) -> dict[str, Any]:
    """A PNG as {"uri", "width", "height"}: a data: URI and its size in pixels."""
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    return {"uri": "data:image/png;base64," + base64.b64encode(data).decode(), "width": width, "height": height}
