"""What one run of an experiment has come to, read from its folder: validation, test, time."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.experiments.build import Goal
from fragrant.experiments.plan import Run
from fragrant.files import read_plain
from fragrant.report.curves import Curve, LogError, place, read_records

# field of a val_epoch record -> what it is called, and whether a smaller number is better
KINDS = {"top1_err": ("top-1", False), "map": ("mAP", False), "loss": ("loss", True)}


class Validation(NamedTuple):
    """A validation of one epoch: top-1 or mAP in percent, or a loss."""

    kind: str
    value: float
    epoch: int
    smaller_is_better: bool
    optimistic: str = ""  # what to say of it

    @property
    def rank(self) -> float:
        """The larger, the better."""
        return -self.value if self.smaller_is_better else self.value


class Result(NamedTuple):
    """What a run has come to.

    Attributes:
        validation: of the weights that are tested: the last epoch's, or the best one's; None = none yet.
        trained: the last epoch has been trained and validated.
        scores: the score table of its test; None = not tested.
        test: top-1 or mAP of it, in percent.
        failed: why it cannot be trained; "" = it can.
        seconds: of training and validation.
    """

    run: Run
    validation: Validation | None
    curve: Curve
    trained: bool
    scores: Path | None
    test: float | None
    failed: str
    seconds: float

    @property
    def state(self) -> str:
        if self.failed:
            return "failed"
        if self.scores:
            return "tested"
        return "trained" if self.trained else ("begun" if self.curve.epochs or self.seconds else "missing")


def failure_mark(out: Path, run: Run) -> Path:
    return out / "stages" / f"{run.name}.failed"


def read_result(out: Path, run: Run, goal: Goal) -> Result:
    """Reads what is there; a run that has not begun has nothing.

    Raises:
        LogError: its ``metrics.jsonl`` is none.
    """
    log = run.folder / "metrics.jsonl"
    records = read_records(log) if log.is_file() else []
    validations = [one for record in records if (one := _validation(record)) is not None]
    early = any(record.get("_type") == "early_stop" for record in records)
    trained = bool(validations) and (validations[-1].epoch >= goal.epochs or early)
    scores = run.folder / "scores.npz"
    tested = trained and scores.is_file()
    return Result(
        run=run,
        validation=_that_counts(validations, best=goal.best),
        curve=Curve([float(one.epoch) for one in validations], [one.value for one in validations]),
        trained=trained,
        scores=scores if tested else None,
        test=_test_value(run.folder / "scores.json") if tested else None,
        failed=_read_text(failure_mark(out, run)),
        seconds=sum(_seconds(record) for record in records),
    )


def _validation(record: dict) -> Validation | None:
    if record.get("_type") != "val_epoch":
        return None
    for field, (kind, smaller) in KINDS.items():
        if field in record:
            value = record[field]
            number = float(value) if isinstance(value, int | float) else math.nan  # JSON knows no NaN
            number = 100 - number if field == "top1_err" else number
            return Validation(kind, number, int(place(record)[0]), smaller, str(record.get("protocol") or ""))
    return None


def _that_counts(validations: Sequence[Validation], *, best: bool) -> Validation | None:
    """The validation of the weights that are tested: a NaN is never the best, of equals the earliest is."""
    finite = [one for one in validations if math.isfinite(one.value)]
    if best and finite:
        return max(finite, key=lambda one: one.rank)
    return validations[-1] if validations else None


def _test_value(path: Path) -> float | None:
    """The main number of a test; None where the file does not say it."""
    try:
        summary = json.loads(read_plain(path))["summary"]
        value = summary["mean_average_precision"] if "mean_average_precision" in summary else summary["top1"]["percent"]
        return float(value)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _seconds(record: dict) -> float:
    value = record.get("time_diff")
    of_training = record.get("_type") in ("train_epoch", "val_epoch")
    return float(value) if of_training and isinstance(value, int | float) else 0.0


def _read_text(path: Path) -> str:
    try:
        return str(json.loads(read_plain(path))["why"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LogError(f"{path} cannot be read: {error}; delete it to try that run again") from error
