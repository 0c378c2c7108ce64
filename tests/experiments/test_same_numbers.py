"""tools/runs.py and tools/repeat.py say the same of one folder, whatever a run has left there."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import pytest

from fragrant.experiments.build import Goal
from fragrant.experiments.plan import Run
from fragrant.experiments.results import read_result
from fragrant.report.run_folders import find_runs

NONE = math.nan


def epochs(field: str, *values: object, of: int = 3, begun: int = 0, **more) -> list[dict]:
    """What a training logs that validates every epoch; ``begun``: steps of the next one."""
    records = []
    for epoch, value in enumerate(values, 1):
        at = {"epoch": f"{epoch}/{of}", "time_diff": 10.0}
        records += [{"_type": "train_epoch", "loss": 1.0, **at}, {"_type": "val_epoch", field: value, **more, **at}]
    at = f"{len(values) + 1}/{of}"
    return records + [
        {"_type": "train_iter", "epoch": at, "iter": f"{step + 1}/4", "loss": 1.0} for step in range(begun)
    ]


def ended_early(epoch: str) -> list[dict]:
    return [{"_type": "early_stop", "epoch": epoch, "best_epoch": 1, "patience": 1}]


def of_a_test(**values) -> list[dict]:
    return [{"split": "test_final", "seconds": 4.0, **values}]


SHARE = {"correct": 3, "total": 4, "percent": 75.0, "low": 30.0, "high": 95.0}
TOP1 = {"header": {"protocol": "transductive: x"}, "summary": {"top1": SHARE}}


class Case(NamedTuple):
    """A folder, and what both tools are to say of it: (kind, value, epoch) of the best and the last validation."""

    log: list[dict] | str
    best: tuple | None
    last: tuple | None
    trained: bool
    test: float | None = None
    seconds: float = 0.0
    scores: object = None  # in scores.json; None = no test


CASES = {
    "whole": Case(
        epochs("top1_err", 60.0, 40.0, 50.0) + of_a_test(top1=75.0),
        ("top-1", 60.0, 2),
        ("top-1", 50.0, 3),
        True,
        75.0,
        64.0,
        TOP1,
    ),
    "of equals the earlier": Case(
        epochs("top1_err", 60.0, 40.0, 40.0), ("top-1", 60.0, 2), ("top-1", 60.0, 3), True, seconds=60.0
    ),
    "optimistic": Case(
        epochs("top1_err", 60.0, protocol="optimistic: picked on all"), ("top-1", 40.0, 1), ("top-1", 40.0, 1), False
    ),
    "ended early": Case(
        epochs("top1_err", 40.0, 60.0, of=9) + ended_early("2/9"), ("top-1", 60.0, 1), ("top-1", 40.0, 2), True
    ),
    "ended early, then went on": Case(
        epochs("top1_err", 40.0, 60.0, 50.0, of=9) + ended_early("2/9"), ("top-1", 60.0, 1), ("top-1", 50.0, 3), False
    ),
    "ended early, then begun to go on": Case(
        epochs("top1_err", 40.0, 60.0, of=9, begun=1) + ended_early("2/9"),
        ("top-1", 60.0, 1),
        ("top-1", 40.0, 2),
        False,
    ),
    "loss alone": Case(epochs("loss", 0.5, 0.25, 0.75), ("loss", 0.25, 2), ("loss", 0.75, 3), True),
    "loss that was no number": Case(epochs("loss", 0.5, None, None), ("loss", 0.5, 1), ("loss", NONE, 3), True),
    "never a number": Case(epochs("loss", None, None), ("loss", NONE, 1), ("loss", NONE, 2), False),
    "a number without end": Case(epochs("map", 10**400, 20.0, 10.0), ("mAP", 20.0, 2), ("mAP", 10.0, 3), True),
    "mAP": Case(
        epochs("map", 20.0, 30.0, 25.0) + of_a_test(map=44.0),
        ("mAP", 30.0, 2),
        ("mAP", 25.0, 3),
        True,
        44.5,
        64.0,
        {"summary": {"mean_average_precision": 44.5}},
    ),
    "then labels of another kind": Case(
        epochs("top1_err", 10.0)[:2] + epochs("map", 1.0, 20.0, 15.0)[2:], ("mAP", 20.0, 2), ("mAP", 15.0, 3), True
    ),
    "killed in a line": Case(
        "".join(f"{json.dumps(one)}\n" for one in epochs("top1_err", 60.0, 40.0)) + '{"_type": "train_ep',
        ("top-1", 60.0, 2),
        ("top-1", 60.0, 2),
        False,
        seconds=40.0,
    ),
    "killed, and done again from there": Case(
        epochs("top1_err", 60.0, 10.0) + epochs("top1_err", 60.0, 30.0, 35.0)[2:],
        ("top-1", 70.0, 2),
        ("top-1", 65.0, 3),
        True,
        seconds=60.0,
    ),
    "killed in the last validation": Case(
        epochs("top1_err", 60.0, 40.0, 50.0)[:-1], ("top-1", 60.0, 2), ("top-1", 60.0, 2), False, seconds=50.0
    ),
    "killed while the numbers of the test were written": Case(
        epochs("top1_err", 60.0, 40.0, 50.0) + of_a_test(top1=75.0),
        ("top-1", 60.0, 2),
        ("top-1", 50.0, 3),
        True,
        75.0,
        64.0,
        "{",
    ),
    "tested in parts that nobody has put together": Case(
        epochs("top1_err", 60.0, of=1) + of_a_test(top1=90.0, part="0-of-2"),
        ("top-1", 40.0, 1),
        ("top-1", 40.0, 1),
        True,
        seconds=20.0,
    ),
    "not begun": Case([], None, None, False),
}


@pytest.mark.parametrize("name", CASES)
def test_both_tools_say_the_same(tmp_path, name):
    case, folder = CASES[name], tmp_path / "run"
    folder.mkdir()
    text = case.log if isinstance(case.log, str) else "".join(f"{json.dumps(one)}\n" for one in case.log)
    (folder / "metrics.jsonl").write_text(text)
    (folder / "config.yaml").write_text("TEST.ENABLE: false\n")
    if case.scores is not None:
        (folder / "scores.json").write_text(case.scores if isinstance(case.scores, str) else json.dumps(case.scores))
        (folder / "scores.npz").touch()
    (shown,) = find_runs(tmp_path)
    total = int(text.partition("/")[2][:1] or 3)
    counts = {best: _repeated(tmp_path, folder, Goal(True, best, total)) for best in (True, False)}
    for best, figure, expected in ((True, shown.best, case.best), (False, shown.last, case.last)):
        assert repr(counts[best].validation) == repr(figure)  # NaN is not equal to itself
        assert repr(figure and (figure.kind, figure.value, figure.epoch)) == repr(expected)
    run = counts[True]
    assert run.trained == (shown.state == "finished") == case.trained
    assert run.test == (shown.test and shown.test.value) == case.test
    assert run.seconds == shown.seconds and (not case.seconds or run.seconds == case.seconds)
    if name == "optimistic":
        assert run.validation.protocol == "optimistic: picked on all" and shown.best.words == "optimistic"


def _repeated(out: Path, folder: Path, goal: Goal):
    return read_result(out, Run(folder.name, 0, None, None, folder, []), goal)
