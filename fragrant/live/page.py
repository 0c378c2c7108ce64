"""The page of a live run, as one text."""

from fragrant.report.page import filled_page, part


def live_page(source: str) -> str:
    """HTML of the page; ``source`` as it is shown."""
    return filled_page(
        f"{source} · live",
        {"source": source},
        styles=[part("page.css"), part("timeline.css"), part("live.css", __package__)],
        scripts=[part("timeline.js"), part("live.js", __package__)],
        sources="img-src 'self' data:; connect-src 'self'",
    )
