import json
import logging

import pytest
from conftest import golden

from fragrant.logs import RunLog, duration, host_memory, json_stats


@pytest.mark.parametrize(
    "case", golden("framework/log_lines")["lines"], ids=lambda c: c["stats"].get("_type", c["stats"].get("split"))
)
def test_lines_are_the_published_ones(case):
    assert json_stats(case["stats"]) == case["line"]


def test_a_run_writes_lines_and_records(tmp_path, capsys):
    with RunLog(tmp_path) as log:
        log.say("hello")
        log.warn("careful")
        log.record({"_type": "train_iter", "lr": 4e-7, "loss": float("nan")}, text="for people", more={"exact": 1 / 3})
    lines = (tmp_path / "stdout.log").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == lines  # not a terminal: the same lines
    assert lines[0].endswith(": hello") and "[INFO]" in lines[0]
    assert "[WARNING]" in lines[1]
    assert lines[2].endswith('[INFO] logs.py:  99: json_stats: {"_type": "train_iter", "loss": nan, "lr": 0.00000}')
    record = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert record == {"_type": "train_iter", "lr": 4e-7, "loss": None, "exact": 1 / 3}


def test_a_resumed_run_appends_and_nothing_is_left_open(tmp_path):
    before = list(logging.getLogger("fragrant").handlers)
    for _ in range(2):
        with RunLog(tmp_path) as log:
            log.record({"a": 1})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    assert logging.getLogger("fragrant").handlers == before


def test_other_ranks_are_silent(tmp_path, capsys):
    with RunLog(tmp_path, main=False) as log:
        log.say("hello")
        log.record({"a": 1})
    assert capsys.readouterr().out == "" and list(tmp_path.iterdir()) == []


def test_tensorboard_gets_the_scalars(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with RunLog(tmp_path, tensorboard_dir=tmp_path / "runs-demo") as log:
        log.scalars({"Train/loss": 0.5, "Train/lr": 1e-3}, 7)
    events = EventAccumulator(str(tmp_path / "runs-demo"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("Train/loss")] == [(7, 0.5)]


@pytest.mark.parametrize("seconds, text", [(0, "0:00:00"), (3723.9, "1:02:03"), (90000, "1 day, 1:00:00")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_host_memory():
    used, total = host_memory().removesuffix("G").split("/")
    assert 0 < float(used) <= float(total)
