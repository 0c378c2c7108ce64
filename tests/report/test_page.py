"""The page is one file that loads nothing, whatever names it shows."""

import json
import re

from small_test import small_scores

from fragrant.report.content import Mistake, report_content
from fragrant.report.page import render

SVG = "http://www.w3.org/2000/svg"


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_content_arrives_whole():
    content = report_content(small_scores(), title="Small", mistakes=[Mistake(7, why="gone")])
    assert data_of(render(content)) == json.loads(json.dumps(content))


def test_names_are_text_and_nothing_else():
    bad = "</script><script>alert(1)</script> & $title <!--"
    scores = small_scores()._replace(class_names=(bad, "b", "c"))
    page = render(report_content(scores, title=bad))
    assert "<script>alert" not in page and page.count("</script>") == 2 and page.count("<!--") == 0
    assert data_of(page)["classes"][0] == data_of(page)["title"] == bad
    assert "<title>&lt;/script&gt;" in page


def test_nothing_is_loaded():
    page = render(report_content(small_scores(), title="Small"))
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {SVG}  # a name, not an address
    assert not re.findall(r"<link[^>]+href=\"(?!data:)|<script[^>]+src=|@import|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page


def test_what_is_not_a_number_is_null():
    content = report_content(small_scores(), title="Small") | {"mean": float("nan")}
    assert data_of(render(content))["mean"] is None
