"""Names of videos and classes that a terminal, a spreadsheet or a browser would obey, in everything that shows them."""

import csv
import io
from dataclasses import replace

import pytest
from small_test import small_table

from fragrant.inference.formats import as_csv, as_json, as_text
from fragrant.inference.predictor import Prediction, Ranked
from fragrant.report.build import page_of
from fragrant.scores import ensemble_views
from fragrant.scores.predictions import predictions_csv

NAMES = [
    "=HYPERLINK(1)",
    "+1+cmd",
    "-a.mp4",
    "@SUM(A1)",
    "a\nb.mp4 0",
    "\x1b[2J",
    "\u202egpj",
    "\udcff.mp4",
    "<script>",
]
FORMULAS = ("=", "+", "-", "@")


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_a_test(name):
    table = replace(small_table(), paths=(name, *small_table().paths[1:]), class_names=(name, "run", "sit"))
    text = predictions_csv(ensemble_views(table))
    assert len(text.splitlines()) == 11
    rows = list(csv.reader(io.StringIO(text)))
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(FORMULAS) and all(c.isprintable() or "\ud800" <= c <= "\udfff" for c in cell)
    text.encode(errors="surrogateescape")


@pytest.mark.parametrize("name", NAMES)
def test_predictions(name):
    found = Prediction(name, [Ranked(name, 0, 0.9), Ranked("run", 1, 0.1)])
    assert as_text(found).isprintable() and as_json(found).isprintable()
    cells = next(csv.reader(io.StringIO(as_csv(found))))
    assert not any(cell.startswith(FORMULAS) for cell in cells) and len(as_csv(found).splitlines()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_them_as_they_are_and_runs_nothing(name):
    table = replace(small_table(), paths=(name, *small_table().paths[1:]))
    page = page_of(None, table, ensemble_views(table), {}, None)
    assert "<img" not in page and "\x1b" not in page and "\u202e" not in page
    page.encode(errors="backslashreplace")  # as it is written
