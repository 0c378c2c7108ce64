"""Renders the content of a report as one HTML file: nothing is loaded from elsewhere, all pictures are inside."""

import html
import re
from collections.abc import Sequence
from importlib.resources import files
from string import Template

import simplejson

SHARED = ("small parts", "curves")  # sections of page.js that other pages are drawn with, too


def render(content: dict) -> str:
    """HTML text of the report, which page.js draws in the reader's browser. ``content``: from
    ``content.report_content``."""
    return filled_page(content["title"], content, styles=[part("page.css")], scripts=[part("page.js")])


def page_of(name: str, content: dict, package: str = __package__) -> str:
    """HTML text of another page, drawn by ``<name>.js`` of a package with the small parts and curves of the report, in
    its style and that of ``<name>.css``.

    Args:
        content: has a title.
    """
    script = part("page.js")
    shared = [script[: _rulers(script)[0].start()], *(_section(script, section) for section in SHARED)]
    styles = [part("page.css"), part(f"{name}.css", package)]
    return filled_page(content["title"], content, styles=styles, scripts=[*shared, part(f"{name}.js", package)])


def part(name: str, package: str = __package__) -> str:
    """A style sheet or script of a package, of this one where none is named."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _rulers(script: str) -> list[re.Match]:
    """The lines that begin the sections of a script."""
    return list(re.finditer(r"^// -{20,} (.+)$", script, re.M))


def _section(script: str, name: str) -> str:
    rulers = _rulers(script)
    at = next(number for number, ruler in enumerate(rulers) if ruler[1] == name)
    return script[rulers[at].start() : rulers[at + 1].start() if at + 1 < len(rulers) else None]


def filled_page(
    title: str, content: dict, *, styles: Sequence[str], scripts: Sequence[str], sources: str = "img-src data:"
) -> str:
    """HTML text of a page that its scripts draw from a content.

    Args:
        sources: what may be loaded, directives of a Content-Security-Policy.
    """
    return Template(part("page.html")).substitute(
        title=html.escape(title),
        sources=sources,
        style="".join(styles),
        script="".join(scripts),
        data=json_inside(content),
    )


def json_inside(content: dict) -> str:
    """JSON text that may stand in a script element."""
    text = simplejson.dumps(content, ignore_nan=True, separators=(",", ":"))
    # Names and paths are foreign text: without < and & nothing in them can end the script element that they stand in.
    return text.replace("&", "\\u0026").replace("<", "\\u003c")
