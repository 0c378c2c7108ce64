"""A page without a script, in the style of the report: nothing is loaded from elsewhere."""

import html
from importlib.resources import files

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main id="page">
{body}
</main>
</body>
</html>
"""


def plain_page(title: str, body: str, *, style: str = "") -> str:
    """HTML text of a page. ``body``: HTML, foreign text in it escaped; ``style``: rules behind those of the report."""
    css = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return PAGE.format(title=html.escape(title), style=css + style, body=body)
