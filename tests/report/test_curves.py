"""Curves are what the log says, without what a resumed run did again."""

import json
import os

import pytest

from fragrant.report.content import charts
from fragrant.report.curves import Curve, LogError, curve, read_records, thinned, without_repeats


def step(epoch: int, at: int, loss: float, steps: int = 2) -> dict:
    return {"_type": "train_iter", "epoch": f"{epoch}/9", "iter": f"{at}/{steps}", "loss": loss, "lr": 0.1 * epoch}


def train(epoch: int, loss: float) -> dict:
    return {"_type": "train_epoch", "epoch": f"{epoch}/9", "loss": loss, "top1_err": 100 - epoch}


def val(epoch: int, error: float) -> dict:
    return {"_type": "val_epoch", "epoch": f"{epoch}/9", "top1_err": error}


TEST = {"split": "test_final", "top1": 50.0}
FIRST = [step(1, 1, 3.0), step(1, 2, 2.0), train(1, 2.5), val(1, 80.0)]
SECOND = [step(2, 1, 1.0), step(2, 2, 0.5), train(2, 0.75), val(2, 60.0)]

REPEATS = {
    "nothing twice": (FIRST + SECOND + [TEST], FIRST + SECOND + [TEST]),
    "killed in epoch 2": (FIRST + [step(2, 1, 9.0)] + SECOND, FIRST + SECOND),
    "killed between saving and validating": (FIRST[:3] + FIRST[3:] + SECOND, FIRST + SECOND),
    "resumed, the last validation done again": (FIRST + [step(2, 1, 9.0)] + [val(1, 80.0)] + SECOND, FIRST + SECOND),
    "only tested again": (FIRST + [TEST, val(1, 80.0), TEST], FIRST + [TEST, TEST]),
    "started anew, now shorter": (FIRST + SECOND + FIRST, FIRST),
}


def test_the_learning_rate_of_epochs_where_steps_are_few():
    epochs = [train(number, 1.0) | {"lr": 0.5 * number} for number in (1, 2, 3)]
    assert curve(epochs, "learning rate") == Curve([1, 2, 3], [0.5, 1.0, 1.5])
    assert curve([step(1, 1, 1.0), *epochs], "learning rate").values == [0.5, 1.0, 1.5]
    many = [step(number, at, 1.0) for number in (1, 2) for at in (1, 2)]
    assert curve([*many, *epochs], "learning rate") == Curve([0.5, 1, 1.5, 2], [0.1, 0.1, 0.2, 0.2])


@pytest.mark.parametrize("logged, left", REPEATS.values(), ids=REPEATS)
def test_repeats(logged, left):
    assert without_repeats(logged) == left


def test_curves_by_value():
    records = FIRST + SECOND
    assert curve(records, "loss of a step") == Curve([0.5, 1.0, 1.5, 2.0], [3.0, 2.0, 1.0, 0.5])
    assert curve(records, "loss") == Curve([1.0, 2.0], [2.5, 0.75])
    assert curve(records, "training top-1") == Curve([1.0, 2.0], [1, 2])
    assert curve(records, "validation top-1") == Curve([1.0, 2.0], [20.0, 40.0])
    assert curve(records, "validation top-5") == Curve([], [])
    assert curve([train(1, None)], "loss") == Curve([], [])  # null: the loss was not finite


def test_thinned():
    long = Curve([float(i) for i in range(10)], [float(2 * i) for i in range(10)])
    assert thinned(long, 5) == Curve([0.5, 2.5, 4.5, 6.5, 8.5], [1, 5, 9, 13, 17])
    assert len(thinned(long, 4).epochs) == 4 and thinned(long, 4).epochs[-1] == 9
    assert thinned(long, 10) == long and thinned(Curve([], []), 10) == Curve([], [])


def lines(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    "text, left",
    [
        (lines(FIRST) + '{"_type": "tr', FIRST),
        (lines(FIRST) + '{"_type": "train_iter", "ep' + lines(SECOND), FIRST + SECOND),  # and was resumed
        (lines(FIRST) + "\n[1]\n" + lines(SECOND), FIRST + SECOND),
        ("", []),
    ],
    ids="killed resumed foreign empty".split(),
)
def test_half_lines_are_left_out(text, left, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    assert read_records(path) == left


@pytest.mark.parametrize("text", ["no json\n", "[1]\n", "TRAIN:\n  A: {}x\n"])
def test_wrong_logs(text, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    with pytest.raises(
        LogError, match="metrics.jsonl' holds no JSON record; allowed: what a run writes to metrics.jsonl"
    ):
        read_records(path)


def test_a_missing_log(tmp_path):
    with pytest.raises(LogError, match="metrics.jsonl' cannot be read: No such file or directory"):
        read_records(tmp_path / "metrics.jsonl")


ODD_RECORDS = [
    {"_type": "train_epoch"},
    {"_type": "train_epoch", "epoch": 3},
    {"_type": "train_epoch", "epoch": "x/y"},
    {"_type": "train_epoch", "epoch": "1e999/5"},
    {"_type": "train_epoch", "epoch": "nan/5"},
    {"_type": "train_epoch", "epoch": None},
    {"_type": "train_iter", "epoch": "1/5", "loss": 1},
    {"_type": "train_iter", "epoch": "1/5", "iter": "1/0", "loss": 1},
    {"_type": "train_iter", "epoch": "1/5", "iter": "1", "loss": 1},
    {"_type": "train_iter", "epoch": "1/5", "iter": ["1/2"], "loss": 1},
]
ODD_LINES = [
    "[" * 5000,
    '{"a":' * 5000,
    "1" * 5000,
    '{"_type": "train_epoch", "epoch": "1/5',
    "\x00\x00\x00",
    "null",
    "[]",
    "7",
]
GOOD = [{"_type": "train_epoch", "epoch": f"{number}/2", "loss": 1.0} for number in (1, 2)]


@pytest.mark.parametrize("text", [*map(json.dumps, ODD_RECORDS), *ODD_LINES], ids=range(len(ODD_RECORDS + ODD_LINES)))
def test_a_record_that_says_nothing_is_left_out(tmp_path, text):
    (tmp_path / "m.jsonl").write_text("\n".join([json.dumps(GOOD[0]), text, json.dumps(GOOD[1])]))
    records = read_records(tmp_path / "m.jsonl")
    assert records == GOOD and curve(records, "loss").values == [1.0, 1.0]


@pytest.mark.parametrize("loss", ["x", None, [1], True, "NaN", float("nan"), float("inf"), 10**400, {}])
def test_a_value_that_is_no_number_is_left_out(tmp_path, loss):
    rows = [*GOOD, {"_type": "val_epoch", "epoch": "2/2", "top1_err": loss, "map": loss}]
    rows.insert(1, {"_type": "train_iter", "epoch": "2/2", "iter": "1/2", "loss": loss, "lr": loss})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    records = read_records(tmp_path / "m.jsonl")
    assert len(records) == 4 and [chart["title"] for chart in charts(records)] == ["loss"]


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(json.dumps(GOOD[0]).encode() + b"\n\xff\xfe\n" + json.dumps(GOOD[1]).encode())
    assert read_records(tmp_path / "m.jsonl") == GOOD


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_log_is_not_waited_for(tmp_path, make):
    make(tmp_path / "m.jsonl")
    with pytest.raises(LogError, match="m.jsonl' cannot be read: "):
        read_records(tmp_path / "m.jsonl")
