"""What one run has come to, read from its folder: validations, how far it is, test, time. tools/runs.py and
tools/repeat.py both have it from here, so that they say the same of a run."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fragrant.files import read_plain
from fragrant.report.curves import ORDER, place, read_records

EPOCH_ENDS = {"train_epoch", "val_epoch"}
KINDS = {"top1_err": "top-1", "map": "mAP", "loss": "loss"}  # field of a val_epoch record -> what it is called


class Figure(NamedTuple):
    """A number of a validation or a test.

    Attributes:
        value: percent, or the loss; NaN where a validation gave no finite number.
        epoch: finished epochs; 0 of a test.
        low, high: of the 95 % interval; None where there is none.
        protocol: what must be said with it: "optimistic: ...; transductive: ...".
    """

    kind: str  # of KINDS
    value: float
    epoch: int = 0
    low: float | None = None
    high: float | None = None
    protocol: str = ""

    @property
    def smaller_is_better(self) -> bool:
        return self.kind == "loss"

    @property
    def rank(self) -> float:
        """To sort by: larger is better, no number is worse than all."""
        value = -self.value if self.smaller_is_better else self.value
        return -math.inf if math.isnan(value) else value

    @property
    def words(self) -> str:
        """The protocol in a word each: "optimistic, transductive"."""
        return ", ".join(part.partition(":")[0].strip() for part in self.protocol.split("; ") if part.strip())

    def __str__(self) -> str:
        if self.kind == "loss":
            return f"loss {self.value:.4f}"
        return f"{self.value:.2f} %" if self.kind == "top-1" else f"{self.kind} {self.value:.2f} %"


class Reading(NamedTuple):
    """What is there by now; of a run that has not begun, nothing.

    Attributes:
        validations: by epoch, of the kind of the last one: with labels of another kind a run begins anew.
        epochs: trained, of how many: "7/24"; "" = none.
        early: there TRAIN.EARLY_STOP has ended the training.
        test: None = not tested.
        seconds: of all epochs and validations that count, and the last test.
    """

    records: Sequence[dict]  # of the training log
    validations: list[Figure]
    epochs: str
    early: bool
    test: Figure | None
    seconds: float

    @property
    def last(self) -> Figure | None:
        return self.validations[-1] if self.validations else None

    @property
    def best(self) -> Figure | None:
        """As TEST.TEST_BEST picks it: of equals the earliest."""
        return max(self.validations, key=lambda one: one.rank, default=None)

    def is_trained(self, epochs: int | None = None) -> bool:
        """Whether the training has ended, its last validation too; ``epochs``: of a whole one, None = as logged."""
        if self.early or self.last is None:
            return self.early
        return set(self.epochs.split("/")) == {str(self.last.epoch)} if epochs is None else self.last.epoch >= epochs


def read_log(folder: Path) -> list[dict]:
    """The records of ``metrics.jsonl``, none where there is none.

    Raises:
        LogError: it is no log.
    """
    path = folder / "metrics.jsonl"
    return read_records(path) if os.path.lexists(path) else []


def reading(folder: Path, records: Sequence[dict], problems: list[str]) -> Reading:
    """Reads a run. ``records``: from ``read_log``; ``problems``: gets what is damaged beside it, a line each."""
    ends = [record for record in records if record.get("_type") in EPOCH_ENDS]
    latest = [record["epoch"] for record in records if record.get("_type") in ORDER][-1:]  # also of an epoch at work
    done = ends[-1]["epoch"] if ends else ""
    early = [record.get("epoch") for record in records if record.get("_type") == "early_stop"]
    found = [figure for record in ends if (figure := _validation(record))]
    tests = [number(record.get("seconds")) or 0.0 for record in _tests(records)]
    return Reading(
        records=records,
        validations=[one for one in found if one.kind == found[-1].kind],
        epochs="/".join([done.split("/")[0], *latest[0].split("/")[1:]]) if ends else "",
        early=bool(ends) and latest == [done] and done in early,
        test=_test(folder, records, problems),
        seconds=sum([number(record.get("time_diff")) or 0.0 for record in ends] + tests[-1:]),
    )


def number(value: Any) -> float | None:
    """As a float; None where it is no finite number."""
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def _validation(record: dict) -> Figure | None:
    for field, kind in KINDS.items():
        if record["_type"] == "val_epoch" and field in record:
            found = number(record[field])
            value = math.nan if found is None else 100 - found if field == "top1_err" else found  # JSON knows no NaN
            return Figure(kind, value, int(place(record)[0]), protocol=str(record.get("protocol") or ""))
    return None


# ----------------------------------------------------------------------------------------------------------------- test
def read_json(path: Path, problems: list[str]) -> dict:
    """The object of a file, empty where there is none; what is wrong with it becomes a problem."""
    try:
        found = json.loads(read_plain(path))
        if isinstance(found, dict):
            return found
        problems.append(f"{path.name} holds no JSON object")
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or 'it is no JSON'}")
    return {}


def _test(folder: Path, records: Sequence[dict], problems: list[str]) -> Figure | None:
    """From scores.json; of an interrupted write, or older code, from the log."""
    found = read_json(folder / "scores.json", problems)
    summary, header = _dict(found.get("summary")), _dict(found.get("header"))
    notes = [str(summary.get("protocol") or header.get("protocol") or "")]
    notes += ["not finite: videos without a score count as wrong"] * ("not_finite" in summary)
    share = _dict(summary.get("top1"))
    of_file = {"top1": share.get("percent"), "map": summary.get("mean_average_precision"), **share}
    for values in (of_file | {"protocol": "; ".join(filter(None, notes))}, *reversed(_tests(records))):
        for name, kind in (("top1", "top-1"), ("map", "mAP")):
            if (value := number(values.get(name))) is not None:
                low, high = (number(values.get(end)) for end in ("low", "high"))
                return Figure(kind, value, low=low, high=high, protocol=str(values.get("protocol") or ""))
    return None


def _tests(records: Sequence[dict]) -> list[dict]:
    """What the log says of whole tests; one of the parts of a test is no result."""
    return [record for record in records if record.get("split") == "test_final" and not record.get("part")]


def _dict(value: object) -> dict:
    return value if isinstance(value, dict) else {}
