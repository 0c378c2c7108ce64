"""Renders the page of a data set as one HTML file, in the style of the report and with its small parts."""

import html
from importlib.resources import files
from string import Template

from fragrant.report.page import json_inside

_END = "headline\n"  # the heading in the report's script behind its small parts


def render(content: dict) -> str:
    """HTML text of the page, which browse.js draws in the reader's browser. ``content``: from
    ``content.browse_content``."""
    report, here = files("fragrant.report"), files(__package__)
    style = [report.joinpath("page.css"), here.joinpath("browse.css")]
    script = [small_parts(), here.joinpath("browse.js").read_text(encoding="utf-8")]
    return Template(report.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(content["title"]),
        style="".join(part.read_text(encoding="utf-8") for part in style),
        script="".join(script),
        data=json_inside(content),
    )


def small_parts() -> str:
    """The beginning of the report's script: the data, colours, ``make``, ``section``, tips, ticks."""
    script = files("fragrant.report").joinpath("page.js").read_text(encoding="utf-8")
    return script[: script.rindex("\n//", 0, script.index(_END)) + 1]
