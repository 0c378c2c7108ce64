"""Renders the content of a report as one HTML file: nothing is loaded from elsewhere, all pictures are inside."""

import html
import re
from importlib.resources import files
from string import Template

import simplejson

SHARED = ("small parts", "curves")  # sections of page.js that other pages are drawn with, too


def render(content: dict) -> str:
    """HTML text of the report, which page.js draws in the reader's browser. ``content``: from
    ``content.report_content``."""
    return _filled(content, style=_part("page.css"), script=_part("page.js"))


def page_of(name: str, content: dict, package: str = __package__) -> str:
    """HTML text of another page, drawn by ``<name>.js`` of a package with the small parts and curves of the report, in
    its style and that of ``<name>.css``.

    Args:
        content: has a title.
    """
    script = _part("page.js")
    shared = script[: _rulers(script)[0].start()] + "".join(_section(script, part) for part in SHARED)
    return _filled(
        content, style=_part("page.css") + _part(f"{name}.css", package), script=shared + _part(f"{name}.js", package)
    )


def _part(name: str, package: str = __package__) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _rulers(script: str) -> list[re.Match]:
    """The lines that begin the sections of a script."""
    return list(re.finditer(r"^// -{20,} (.+)$", script, re.M))


def _section(script: str, name: str) -> str:
    rulers = _rulers(script)
    at = next(number for number, ruler in enumerate(rulers) if ruler[1] == name)
    return script[rulers[at].start() : rulers[at + 1].start() if at + 1 < len(rulers) else None]


def _filled(content: dict, *, style: str, script: str) -> str:
    return Template(_part("page.html")).substitute(
        title=html.escape(content["title"]), style=style, script=script, data=json_inside(content)
    )


def json_inside(content: dict) -> str:
    """JSON text that may stand in a script element."""
    text = simplejson.dumps(content, ignore_nan=True, separators=(",", ":"))
    # Names and paths are foreign text: without < and & nothing in them can end the script element that they stand in.
    return text.replace("&", "\\u0026").replace("<", "\\u003c")
