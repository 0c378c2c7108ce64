"""Training curves from the log of a run."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.errors import UserError
from fragrant.files import read_plain


class LogError(UserError):
    """A training log that cannot be read, or that holds no curve."""


class Curve(NamedTuple):
    """A logged quantity over the training time in epochs; the end of the first epoch is 1."""

    epochs: list[float]
    values: list[float]


ORDER = ("train_iter", "train_epoch", "val_epoch")

# Curve -> the records that it is read from, and the field; errors in percent become accuracies.
# Where several are named, the one with the most points: a short epoch may log no step at all.
SOURCES = {
    "loss": [("train_epoch", "loss")],
    "loss of a step": [("train_iter", "loss")],
    "learning rate": [("train_iter", "lr"), ("train_epoch", "lr")],
    "training top-1": [("train_epoch", "top1_err")],
    "validation top-1": [("val_epoch", "top1_err")],
    "validation top-5": [("val_epoch", "top5_err")],
    "validation mAP": [("val_epoch", "map")],
    "validation loss": [("val_epoch", "loss")],
}


def read_records(path: str | Path) -> list[dict]:
    """Reads the records of ``metrics.jsonl``, without those that a resumed run wrote again.

    A kill leaves half a line, at the end or in front of what the resumed run wrote first: that half is left out. So is
    a record of training that does not say when it was logged, and whatever else is none.

    Raises:
        LogError: the file cannot be read, or none of its lines is a record.
    """
    try:
        lines = read_plain(path).decode(errors="replace").split("\n")
    except OSError as error:
        raise LogError(f"log '{path}' cannot be read: {error.strerror or error}") from error
    lines = [line for line in lines if line.strip()]
    records = [record for line in lines if (record := _record(line)) is not None]
    if lines and not records:
        raise LogError(
            f"log '{path}' holds no JSON record; allowed: what a run writes to metrics.jsonl, one object per line"
        )
    return without_repeats(records)


def _record(line: str) -> dict | None:
    for text in (line, line[max(line.rfind("{"), 0) :]):  # records hold no other record
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):  # no JSON, a number without end, brackets without end
            continue
        return record if isinstance(record, dict) and _says_when(record) else None
    return None


def _says_when(record: dict) -> bool:
    """True of everything that is not logged while training."""
    if record.get("_type") not in ORDER:
        return True
    try:
        return math.isfinite(place(record)[0])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return False


def without_repeats(records: Sequence[dict]) -> list[dict]:
    """Sorts records in the order of training, records of other kinds last, and drops those that a resumed or restarted
    run replaced."""
    kept: list[dict] = []
    others: list[dict] = []
    for record in records:
        if record.get("_type") not in ORDER:
            others.append(record)
            continue
        while kept and place(kept[-1]) >= place(record):
            kept.pop()
        kept.append(record)
    return kept + others


def place(record: dict) -> tuple[float, int]:
    """Sort key of a training record: epochs done when it was logged, and the order of the records of one moment."""
    epoch = float(record["epoch"].split("/")[0])
    if record["_type"] == "train_iter" or "iter" in record:
        step, steps = map(float, record["iter"].split("/"))
        epoch += step / steps - 1
    return epoch, ORDER.index(record["_type"])


def curve(records: Sequence[dict], name: str) -> Curve:
    """The curve of one of ``SOURCES``; empty where nothing of it was logged, values that were not finite are left
    out."""
    return max((_curve(records, *source) for source in SOURCES[name]), key=lambda found: len(found.epochs))


def _curve(records: Sequence[dict], kind: str, field: str) -> Curve:
    points = [(place(r)[0], r[field]) for r in records if r.get("_type") == kind and _is_finite(r.get(field))]
    values = [100 - value if field.endswith("_err") else value for _, value in points]
    return Curve([epoch for epoch, _ in points], values)


def _is_finite(value: object) -> bool:
    """Whether it is a number that a curve can be drawn through."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def thinned(curve: Curve, most: int) -> Curve:
    """Thins a curve to at most ``most`` points by the means of neighbours."""
    size = -(-len(curve.epochs) // most) or 1
    groups = range(0, len(curve.epochs), size)
    return Curve(*([sum(part) / len(part) for at in groups if (part := column[at : at + size])] for column in curve))
