"""The table of all runs below a folder: read from what runs leave, damaged or not, and the page in a browser."""

import csv
import io
import json
import os
import time
from pathlib import Path

import pytest
from chromium import resized
from test_browser import all_of, browser, one  # noqa: F401  (a fixture)
from tiny import run_here

from fragrant.config import dump_cfg, load_cfg
from fragrant.distributed.run_lock import Holder, RunLock, holder_at_work
from fragrant.errors import UserError
from fragrant.report.run_folders import find_runs
from fragrant.report.runs import csv_text, differing_keys, plain_rows, short_names, text_table, write_runs

LINE = "[11/27 14:19:00][INFO] training.py: 351: 9 training and 3 validation videos; 32 clips per step, peak learning rate 0.002; {}"


def make_run(
    folder: Path, *pairs: str, errors=(60.0, 40.0, 50.0), of: int = 3, test: float | None = 75.0, **header
) -> Path:
    """A folder as a training of ``of`` epochs leaves it that has come as far as ``errors``."""
    folder.mkdir(parents=True)
    cfg = load_cfg(
        None, ["MODEL.MODEL_NAME", "Uniformer", "OUTPUT_DIR", str(folder), "SOLVER.MAX_EPOCH", str(of), *pairs]
    )
    (folder / "config.yaml").write_text(dump_cfg(cfg))
    (folder / "stdout.log").write_text(LINE.format("2 processes on 1 machine(s), cpu, 4 threads, fp32, eager\n"))
    records = []
    for epoch, error in enumerate(errors, 1):
        at = {"epoch": f"{epoch}/{of}", "time_diff": 30.0}
        records += [
            {"_type": "train_epoch", "loss": 2 / epoch, "lr": 0.1, **at},
            {"_type": "val_epoch", "top1_err": error, **at},
        ]
    if test is not None:
        records.append({"split": "test_final", "top1": test, "seconds": 5.0})
        share = {"correct": 3, "total": 4, "percent": test, "low": test - 10, "high": test + 10}
        (folder / "scores.json").write_text(json.dumps({"header": header, "summary": {"top1": share}}))
        (folder / "report.html").write_text("<p>report</p>")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture(scope="module")
def top(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("runs")
    make_run(top / "lr" / "2", "SOLVER.BASE_LR", "0.1")
    make_run(
        top / "lr" / "10",
        "SOLVER.BASE_LR",
        "0.01",
        errors=(60.0, 30.0, 20.0),
        test=85.0,
        protocol="optimistic: on the test list; transductive: x",
    )
    half = make_run(top / "half", "SOLVER.BASE_LR", "0.01", "RNG_SEED", "7", errors=(70.0,), test=None)
    with open(half / "metrics.jsonl", "a") as file:
        file.write('{"_type": "train_epo')
    (half / "stdout.log").write_text("[11/27 14:21:42][INFO] run.py:  65: Stopped by SIGTERM after epoch 1, saved\n")
    early = make_run(top / "early", errors=(60.0, 65.0), of=9)
    with open(early / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"_type": "early_stop", "epoch": "2/9"}) + "\n")
    (early / "environment.json").write_text(json.dumps({"hardware": "4 x NVIDIA H100", "started": "2026-01-01"}))
    for name, content in (("garbage", b"\xff\xfe{["), ("empty", b"")):
        (top / name).mkdir()
        for file in ("metrics.jsonl", "scores.json", "config.yaml", "environment.json"):
            (top / name / file).write_bytes(content)
    (top / "pipe").mkdir()
    os.mkfifo(top / "pipe" / "metrics.jsonl")
    (top / "configs").mkdir()
    (top / "configs" / "config.yaml").write_text("A: 1\n")  # no run
    (top / "lr" / "2" / "checkpoints").mkdir()
    return top


def by_name(top: Path) -> dict:
    return {run.name: run for run in find_runs(top)}


def test_runs_are_found_and_read(top):
    runs = by_name(top)
    assert list(runs) == ["early", "empty", "garbage", "half", "lr/2", "lr/10", "pipe"]
    states = {name: run.state for name, run in runs.items()}
    assert states == {
        "early": "finished",
        "empty": "broken",
        "garbage": "broken",
        "half": "stopped",
        "lr/2": "finished",
        "lr/10": "finished",
        "pipe": "broken",
    }
    ten = runs["lr/10"]
    assert (str(ten.best), ten.best.epoch, str(ten.test), ten.test.low, ten.test.words) == (
        "80.00 %",
        3,
        "85.00 %",
        75.0,
        "optimistic, transductive",
    )
    assert ten.seconds == 185.0 and ten.hardware == "2 x cpu, 4 threads" and ten.epochs == "3/3"
    assert (runs["lr/2"].best.epoch, runs["lr/2"].last.epoch) == (2, 3)
    assert runs["early"].note == "stopped early after epoch 2" and runs["early"].hardware == "4 x NVIDIA H100"
    assert runs["half"].note == "Stopped by SIGTERM after epoch 1, saved" and runs["half"].epochs == "1/3"
    assert "metrics.jsonl" in runs["garbage"].note and "it is a named pipe" in runs["pipe"].note
    assert str(top) not in "".join(run.note for run in runs.values())


def test_a_run_at_work(tmp_path):
    folder = make_run(tmp_path / "a", errors=(60.0,))
    lock = RunLock(folder)
    lock.take()
    try:
        assert find_runs(tmp_path)[0].state == "running" and f"process {os.getpid()}" in find_runs(tmp_path)[0].note
    finally:
        lock.release()
    assert find_runs(tmp_path)[0].state == "stopped" and holder_at_work(folder) is None
    other = Holder("elsewhere", 1, "", "today", str(folder.resolve()))
    for age, at_work in ((1, True), (600, False)):
        (folder / ".run.lock").write_text(json.dumps(other._asdict()))
        os.utime(folder / ".run.lock", (time.time() - age,) * 2)
        assert bool(holder_at_work(folder)) == at_work
    (folder / ".run.lock").write_text(json.dumps(other._replace(folder="/a/copy/of")._asdict()))
    assert holder_at_work(folder) is None


def test_only_differences_are_columns(top):
    runs = find_runs(top)
    keys = differing_keys(runs)
    assert keys == ["SOLVER.BASE_LR", "RNG_SEED", "SOLVER.MAX_EPOCH"]
    assert short_names([*keys, "TRAIN.BATCH_SIZE", "TEST.BATCH_SIZE"])[1:] == [
        "RNG_SEED",
        "MAX_EPOCH",
        "TRAIN.BATCH_SIZE",
        "TEST.BATCH_SIZE",
    ]


def test_the_table_on_the_terminal(top):
    runs = find_runs(top)
    lines = text_table(runs).splitlines()
    assert lines[0].split()[-3:] == ["BASE_LR", "RNG_SEED", "MAX_EPOCH"]
    row = next(line for line in lines if line.startswith("lr/10"))
    assert (
        "80.00 % @3" in row
        and "85.00 % [75.0, 95.0] optimistic, transductive" in row
        and row.endswith("0.01     1         3")
    )
    assert "half: Stopped by SIGTERM after epoch 1, saved" in lines
    assert lines[-1] == "7 runs: 3 finished, 1 stopped, 3 broken"
    narrow = text_table(runs, width=60)
    assert (
        "BASE_LR  " not in narrow
        and "3 more keys differ, see the page: SOLVER.BASE_LR, RNG_SEED, SOLVER.MAX_EPOCH" in narrow
    )


def test_csv_and_json(top, tmp_path):
    runs = find_runs(top)
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(csv_text(runs)))}
    assert rows["lr/10"]["test"] == "85.0" and rows["lr/10"]["SOLVER.BASE_LR"] == "0.01" and rows["half"]["test"] == ""
    assert csv_text([runs[0]._replace(note="=1+1")]).splitlines()[1].split(",")[2] == "'=1+1"
    write_runs(runs, top, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(json.dumps(plain_rows(runs)))
    with pytest.raises(UserError, match="has no known ending; allowed: .html, .csv, .json"):
        write_runs(runs, top, tmp_path / "a.txt")


def test_the_command(top, tmp_path):
    done = run_here(top, "--to", tmp_path / "x.html", tool="runs")
    assert done.returncode == 0 and f"The table is in {tmp_path / 'x.html'}" in done.stdout, done.stderr
    done = run_here(tmp_path / "nothing", tool="runs")
    assert done.returncode == 2 and "is no folder; give one with runs in it, or below it" in done.stderr
    (tmp_path / "none").mkdir()
    assert "0 runs" in run_here(tmp_path / "none", tool="runs").stdout and not os.listdir(tmp_path / "none")


# -------------------------------------------------------------------------------------------------------------- browser
@pytest.fixture
def page(browser, top):  # noqa: F811
    write_runs(find_runs(top), top, top / "runs.html")
    browser.set_window_size(1280, 1000)
    browser.get((top / "runs.html").as_uri())
    assert browser.execute_script("return document.body.dataset.ready") == "yes"
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    names = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in names if not name.startswith("data:")] == []


def rows(page) -> list[str]:
    return [row.get_attribute("data-run") for row in all_of(page, "#runs tbody tr")]


def drawn(page) -> list[int]:
    return [len(chart.find_elements("css selector", "path")) for chart in all_of(page, "#overlay .chart")]


def test_sorting(page):
    assert rows(page) == ["early", "empty", "garbage", "half", "lr/2", "lr/10", "pipe"]
    one(page, '[data-column="test"]').click()  # the best first, those without a test last
    assert rows(page)[:3] == ["lr/10", "early", "lr/2"] and "half" in rows(page)[3:]
    one(page, '[data-column="SOLVER.BASE_LR"]').click()
    assert rows(page)[:4] == ["half", "lr/10", "early", "lr/2"]
    one(page, '[data-column="SOLVER.BASE_LR"]').click()
    assert rows(page)[:4] == ["early", "lr/2", "half", "lr/10"]
    assert one(page, "th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_filtering(page):
    search = one(page, "#filter")
    for text, found in (
        ("lr/", ["lr/2", "lr/10"]),
        ("BASE_LR=0.01", ["half", "lr/10"]),
        ("optimistic", ["lr/10"]),
        ("nothing like it", []),
    ):
        search.clear()
        search.send_keys(text)
        assert rows(page) == found
    search.clear()
    search.send_keys(" ")
    one(page, '[data-state="broken"]').click()
    assert rows(page) == ["early", "half", "lr/2", "lr/10"] and one(page, "#counted").text == "4 of 7 runs shown"


def test_ticked_runs_are_drawn_over_each_other(page):
    assert len(all_of(page, "#runs tbody input:checked")) == 3  # the best at first
    one(page, "#untick").click()
    assert drawn(page) == [] and "Tick runs in the table" in one(page, "#overlay").text
    for name, lines in (("lr/2", 1), ("lr/10", 2)):
        one(page, f'[data-run="{name}"] input').click()
        assert set(drawn(page)) == {lines} and len(drawn(page)) >= 2
    titles = [chart.text.splitlines()[0] for chart in all_of(page, "#overlay .chart")]
    assert titles[:2] == ["validation top-1, %", "training loss"]
    assert [name.text for name in all_of(page, ".runs-legend span")] == ["lr/2", "lr/10"]
    colours = {path.get_attribute("stroke") for path in all_of(page, "#overlay .chart:first-child path")}
    assert len(colours) == 2
    assert not all_of(page, '[data-run="garbage"] input')


def test_links_columns_and_a_phone(page):
    link = one(page, '[data-run="lr/2"] a')
    assert link.get_attribute("href").endswith("/lr/2/report.html")
    all_of(page, "details summary")[0].click()
    one(page, '[data-key="RNG_SEED"]').click()
    assert not all_of(page, '[data-column="RNG_SEED"]')
    resized(page, "phone")
    try:
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert page.execute_script("return document.querySelector('#runs .table').scrollWidth <= innerWidth")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
