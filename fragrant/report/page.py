"""Renders the content of a report as one HTML file: nothing is loaded from elsewhere, all pictures are inside."""

import html
from importlib.resources import files
from string import Template

import simplejson


def render(content: dict) -> str:
    """HTML text of the report, which page.js draws in the reader's browser. ``content``: from
    ``content.report_content``."""
    parts = {
        name: files(__package__).joinpath(f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")
    }
    return Template(parts["html"]).substitute(
        title=html.escape(content["title"]), style=parts["css"], script=parts["js"], data=json_inside(content)
    )


def json_inside(content: dict) -> str:
    """JSON text that may stand in a script element."""
    text = simplejson.dumps(content, ignore_nan=True, separators=(",", ":"))
    # Names and paths are foreign text: without < and & nothing in them can end the script element that they stand in.
    return text.replace("&", "\\u0026").replace("<", "\\u003c")
