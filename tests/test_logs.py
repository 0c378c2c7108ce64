import io
import json
import logging
import os
import sys

import pytest
from conftest import golden
from support.full_disk import FullDisk

from fragrant.errors import UserError
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
    with RunLog(tmp_path, tensorboard_dir=tmp_path / "runs-demo") as log:
        log.scalars({"Train/loss": 0.5, "Train/lr": 1e-3}, 7)
    assert [(e.step, e.value) for e in scalars_of(tmp_path / "runs-demo", "Train/loss")] == [(7, 0.5)]


@pytest.mark.parametrize("seconds, text", [(0, "0:00:00"), (3723.9, "1:02:03"), (90000, "1 day, 1:00:00")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_host_memory():
    used, total = host_memory().removesuffix("G").split("/")
    assert 0 < float(used) <= float(total)


def test_a_full_disk_is_said_once_and_nothing_is_lost(tmp_path, capsys):
    with FullDisk(tmp_path) as disk, RunLog(tmp_path, tensorboard_dir=tmp_path / "board") as log:
        for number in range(30):
            disk.full = 5 <= number < 20
            log.record({"number": number})
            log.scalars({"loss": number / 2}, number)
    lines = capsys.readouterr().out.splitlines()
    assert sum("cannot be written: No space left on device; the run goes on" in line for line in lines) == 3
    assert sum("is written again" in line for line in lines) == 3
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert records == [{"number": number} for number in range(30)]
    kept = (tmp_path / "stdout.log").read_text().splitlines()
    assert sorted(kept) == sorted(lines)  # the file has what the console had
    assert [(e.step, e.value) for e in scalars_of(tmp_path / "board", "loss")] == [(n, n / 2) for n in range(30)]


def scalars_of(folder, name):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events.Scalars(name)


@pytest.mark.parametrize("name", ["stdout.log", "metrics.jsonl"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_log_that_is_no_file_is_refused_at_once(tmp_path, name, make):
    make(tmp_path / name)
    before = list(logging.getLogger("fragrant").handlers)
    with pytest.raises(UserError, match=f"{name}' cannot be written: "):
        RunLog(tmp_path)
    assert logging.getLogger("fragrant").handlers == before


class Gone(io.StringIO):
    """A console whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError


def test_a_console_that_takes_nothing_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Gone())
    with RunLog(tmp_path) as log:
        log.say("hello")
    assert (tmp_path / "stdout.log").read_text().endswith(": hello\n")


def test_a_name_begins_no_line_of_its_own(tmp_path, capsys):
    name = "a.mp4\n[01/01 00:00:00][INFO] forged.py: \x1b[2J\udcff"
    with RunLog(tmp_path) as log:
        log.warn(f"video '{name}' cannot be read")
        logging.getLogger("fragrant.checkpoint").warning("%s; skipped", name)
        log.record({"path": name}, text=name)
    lines = (tmp_path / "stdout.log").read_text().splitlines()
    assert len(lines) == 3 and capsys.readouterr().out.splitlines() == lines
    assert all(line.isprintable() for line in lines) and r"a.mp4\n[01/01 00:00:00][INFO] forged.py: \x1b[2J" in lines[0]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["path"] == name
