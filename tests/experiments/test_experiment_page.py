"""The page of an experiment in a real browser: whole, without a network, readable on a phone."""

import os
import re
from pathlib import Path

import pytest
from chromium import chromium

from fragrant.experiments.charts import between, key_chart, ticks
from fragrant.experiments.page import page_of
from fragrant.experiments.plan import name_of, plan_runs
from fragrant.experiments.results import Result
from fragrant.experiments.settings import grid, read_varied
from fragrant.experiments.summary import Pooled, Spread, Summary, summary_of
from fragrant.experiments.told import content, table_lines
from fragrant.metrics import share
from fragrant.report.curves import Curve
from fragrant.report.run_reading import Figure

RATES = ["SOLVER.BASE_LR", "1e-4", "3e-4", "1e-3", "3e-3"]
FOREIGN = "</script><b>A & B\u202e"


def search(out: Path, *, failed: bool = True) -> Summary:
    """Eight settings on two seeds, one of which could not be trained; the third is chosen and tested."""
    settings = grid([read_varied(RATES), read_varied(["SOLVER.WEIGHT_DECAY", "0", "0.05"])])
    plan = plan_runs(["--cfg", FOREIGN], out, settings=settings, seeds=[1, 2], folds=0, searched=True)
    results = []
    for run in plan.runs:
        top = 40 + 12 * (3 - abs(2 - run.setting)) + 3 * run.seed
        curve = Curve([float(epoch) for epoch in range(1, 9)], [top * (1 - 0.6**epoch) for epoch in range(1, 9)])
        broken = "the loss was not finite for 10 steps in a row" if failed and run.setting == 7 else ""
        protocol = "optimistic: picked on 3 of the 9 test videos"
        validation = Figure("top-1", curve.values[-1], 8, protocol=protocol)
        results.append(Result(run, validation, curve, not broken, None, None, broken, 300.0 + run.setting))
    summary = summary_of(plan, results)
    chosen = summary.outcomes[summary.chosen]
    tested = Pooled("top-1", Spread.of([71.0, 74.0]), share(145, 200), 200, "")
    summary.outcomes[summary.chosen] = chosen._replace(tested=tested)
    return summary


def test_what_is_chosen_and_told(tmp_path):
    summary = search(tmp_path)
    assert summary.plan.settings[summary.chosen] == {"SOLVER.BASE_LR": "3e-4", "SOLVER.WEIGHT_DECAY": "0"}
    assert summary.optimistic == "optimistic: the setting was picked on 3 of the 9 test videos"
    lines = table_lines(summary)
    assert lines[3].startswith("*  SOLVER.BASE_LR 3e-4, SOLVER.WEIGHT_DECAY 0 ") and "72.50 ± 2.12 %" in lines[3]
    assert "failed" in lines[10] and "3e-3, SOLVER.WEIGHT_DECAY 0.05" in lines[10]
    assert content(summary)["settings"][0]["test"]["values"] == [71.0, 74.0]


def test_names_of_folders():
    assert name_of({"SOLVER.BASE_LR": "1e-4", "DATA.ENHANCE": "none"}, 2) == "03-BASE_LR_1e-4-ENHANCE_none"
    assert re.fullmatch(r"11-[\w.+-]{1,60}", name_of({"MODEL.FREEZE": "[stem, ../x]" * 20}, 10))


def test_axes():
    assert ticks(0.0, 100.0) == [0.0, 20.0, 40.0, 60.0, 80.0, 100.0] and ticks(2.0, 2.0) == [2.0]
    assert between(0, 10, 100, 0)(2.5) == 75.0 and between(1, 1, 0, 10)(1) == 5.0
    log = key_chart("A.B", [("1e-4", 1.0, False), ("1e-2", 2.0, True), ("1e-3", 1.5, False)], "x")
    places = sorted(map(float, re.findall(r'cx="([\d.]+)"', log)))
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.11)
    assert ">none<" in key_chart("A.B", [("none", 1.0, False), ("clahe", 2.0, True)], "x")


# ---------------------------------------------------------------------------------------------------------- the browser
@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


def test_the_page(browser, tmp_path):
    summary = search(tmp_path / "grid")
    for run in summary.plan.runs[:3]:
        run.folder.mkdir(parents=True)
    (summary.plan.runs[0].folder / "report.html").write_text("its own report")
    page = tmp_path / "grid/report.html"
    page.write_text(page_of(summary), encoding="utf-8")
    for width in (1280, 500):
        browser.set_window_size(width, 1000)
        browser.get(page.as_uri())
        wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{wide} pixels too wide at {width}"
        if folder := os.environ.get("FRAGRANT_SCREENSHOTS"):
            height = browser.execute_script("return document.documentElement.scrollHeight")
            browser.set_window_size(width, height + 100)
            browser.save_screenshot(f"{folder}/experiment_{width}.png")
    titles = [element.text for element in browser.find_elements("css selector", "h2")]
    assert titles == ["Settings, the best first", "Validation by epoch, top-1", "Runs", "The command"]
    assert "72.50 ± 2.12 %" in browser.find_element("css selector", ".card").text
    assert "picked on 3 of the 9 test videos" in browser.find_element("id", "warning").text
    assert len(browser.find_elements("css selector", "tr.chosen")) == 1
    assert FOREIGN[:11] in browser.find_element("css selector", "pre").text and "\\u202e" in page.read_text()
    assert len(browser.find_elements("css selector", "td a")) == 3
    browser.find_element("css selector", "td a[href$='report.html']").click()
    assert "its own report" in browser.page_source
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
