"""The page's HTML from its sections: templates, style and charts in one file that fetches nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.reporting.page import acronyms, vega
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
    made = templates.get_template("page.html.j2").render(**page, **colours, config=vega.CONFIG, bundle=Markup(bundle))
    return acronyms.told(made)
