"""The page of a live run, as one text."""

from importlib.resources import files

from fragrant.report.timeline import page_text, part


def live_page(source: str) -> str:
    """HTML of the page; ``source`` as it is shown."""
    own = {
        name: files(__package__).joinpath(f"live.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")
    }
    styles = [part("page.css"), part("timeline.css"), own["css"]]
    content = {"source": source}
    return page_text(own["html"], styles, [part("timeline.js"), own["js"]], title=f"{source} · live", content=content)
