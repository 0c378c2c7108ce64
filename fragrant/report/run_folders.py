"""What the folders of runs hold, each in a few numbers: config, validations, test, time, machine, and how far it is."""

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fragrant.config import ConfigError
from fragrant.config.compare import recorded
from fragrant.distributed.run_lock import holder_at_work
from fragrant.errors import UserError
from fragrant.files import read_plain
from fragrant.report.curves import LogError, read_records

STATES = ("running", "finished", "stopped", "broken")
MARKS = ("metrics.jsonl", "scores.npz", ".run.lock", "environment.json")  # of a run, whichever is there
LONGEST = 200  # letters of a note
_HARDWARE = re.compile(
    r"videos; .*?, peak .*?; (?:(\d+) processes on \d+ machine\(s\), )?(cpu, \d+ threads|[^;]+?), (?:fp32|bf16|fp16)"
)
_LOG_LINE = re.compile(r"\[[^]]*\]\[\w+\] [^:]*: *\d+: ")


class Figure(NamedTuple):
    """A number of a validation or a test.

    Attributes:
        value: percent, or the loss; ``rank``: to sort by, larger is better.
        epoch: finished epochs; 0 of a test.
        low, high: of the 95 % interval; None where there is none.
        protocol: what must be said with it: "optimistic: ...; transductive: ...".
    """

    kind: str  # "top-1", "mAP", "loss"
    value: float
    rank: float
    epoch: int = 0
    low: float | None = None
    high: float | None = None
    protocol: str = ""

    @property
    def words(self) -> str:
        """The protocol in a word each: "optimistic, transductive"."""
        return ", ".join(part.partition(":")[0].strip() for part in self.protocol.split("; ") if part.strip())

    def __str__(self) -> str:
        if self.kind == "loss":
            return f"loss {self.value:.4f}"
        return f"{self.value:.2f} %" if self.kind == "top-1" else f"{self.kind} {self.value:.2f} %"


class Run(NamedTuple):
    """A run as its folder shows it; what is not there is None or empty."""

    name: str  # the folder, relative to where it was looked for
    folder: Path
    state: str  # of STATES
    note: str  # why it stopped, what cannot be read
    epochs: str  # "7/24"
    config: dict[str, object]
    best: Figure | None
    last: Figure | None
    test: Figure | None
    seconds: float
    hardware: str
    started: str
    report: Path | None
    records: Sequence[dict]  # of the training log


# -------------------------------------------------------------------------------------------------------------- folders
def find_runs(folder: str | Path) -> list[Run]:
    """The runs at and below a folder, by name.

    Raises:
        UserError: there is no such folder.
    """
    top = Path(folder)
    if not top.is_dir():
        raise UserError(f"'{folder}' is no folder; give one with runs in it, or below it")
    return [read_run(path, top) for path in sorted(_run_folders(top), key=_natural)]


def _natural(path: Path) -> list:
    """Sorts 2 before 10."""
    pieces = [re.split(r"(\d{1,18})", part) for part in path.parts]
    return [[(not piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in one] for one in pieces]


def _run_folders(top: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(top):
        if "checkpoints" in folders or any(mark in files for mark in MARKS):
            checkpoints = Path(name, "checkpoints")
            if any(mark in files for mark in MARKS) or any(checkpoints.glob("*.pyth")) or "stdout.log" in files:
                yield Path(name)
        folders[:] = [folder for folder in folders if folder != "checkpoints" and not folder.startswith(".")]


def read_run(folder: Path, top: Path) -> Run:
    """One run. Whatever is damaged there is said in its note, and ends nothing."""
    problems: list[str] = []
    config, records = _config(folder, problems), _records(folder, problems)
    environment, test = _environment(folder, problems), _test(folder, records, problems)
    validations = [figure for record in records if (figure := _validation(record))]
    running = holder_at_work(folder)
    trained = _of_kind(records, "train_epoch")
    state, note = ("running", str(running)) if running else _state(folder, config, records, test, problems)
    report = folder / "report.html"
    return Run(
        name=os.path.relpath(folder, top),
        folder=folder,
        state=state,
        note="; ".join(filter(None, [note, *problems]))[:LONGEST],
        epochs=str(trained[-1].get("epoch", "")) if trained else "",
        config=config,
        best=max(validations, key=lambda one: (one.rank, -one.epoch), default=None),
        last=validations[-1] if validations else None,
        test=test,
        seconds=_seconds(records),
        hardware=str(environment.get("hardware") or _hardware_in_log(folder)),
        started=str(environment.get("started", "")),
        report=report if report.is_file() else None,
        records=records,
    )


def _said(error: Exception, folder: Path) -> str:
    return " ".join(str(error).split()).replace(f"{folder}{os.sep}", "")


# ---------------------------------------------------------------------------------------------------------------- files
def _config(folder: Path, problems: list[str]) -> dict[str, object]:
    try:
        text = read_plain(folder / "config.yaml").decode("utf-8-sig")
        if text.strip():
            return recorded(text, where="config.yaml")
        problems.append("config.yaml is empty")
    except FileNotFoundError:
        pass
    except UnicodeDecodeError:
        problems.append("config.yaml is no UTF-8")
    except (OSError, ConfigError) as error:
        problems.append(_said(error, folder))
    return {}


def _records(folder: Path, problems: list[str]) -> list[dict]:
    path = folder / "metrics.jsonl"
    if not os.path.lexists(path):
        return []
    try:
        return read_records(path)
    except LogError as error:
        problems.append(_said(error, folder))
        return []


def _json(path: Path, problems: list[str]) -> dict:
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


def _environment(folder: Path, problems: list[str]) -> dict:
    return _json(folder / "environment.json", problems)


def _test(folder: Path, records: Sequence[dict], problems: list[str]) -> Figure | None:
    """From scores.json; of an interrupted write, or older code, from the log."""
    found = _json(folder / "scores.json", problems)
    summary = found.get("summary")
    if isinstance(summary, dict) and isinstance(summary.get("top1"), dict):
        share = summary["top1"]
        value, low, high = (_number(share.get(name)) for name in ("percent", "low", "high"))
        if value is not None:
            return Figure("top-1", value, value, low=low, high=high, protocol=_protocol(found, summary))
    if isinstance(summary, dict) and (value := _number(summary.get("mean_average_precision"))) is not None:
        return Figure("mAP", value, value, protocol=_protocol(found, summary))
    for record in reversed(records):
        if record.get("split") == "test_final":
            for kind, name in (("top-1", "top1"), ("mAP", "map")):
                if (value := _number(record.get(name))) is not None:
                    return Figure(kind, value, value, protocol=str(record.get("protocol") or ""))
    return None


def _protocol(found: dict, summary: dict) -> str:
    header = found.get("header")
    text = str(summary.get("protocol") or (header.get("protocol") if isinstance(header, dict) else "") or "")
    return "; ".join(
        filter(None, [text, "not finite: videos without a score count as wrong" * ("not_finite" in summary)])
    )


def _hardware_in_log(folder: Path) -> str:
    """As a training of earlier code has said it."""
    found = _HARDWARE.search(_text(folder / "stdout.log"))
    if not found:
        return ""
    name = found[2].replace("cpu, 1 threads", "cpu, 1 thread")
    return f"{found[1]} x {name}" if found[1] else name


def _text(path: Path) -> str:
    try:
        return read_plain(path).decode(errors="replace")
    except OSError:
        return ""


# -------------------------------------------------------------------------------------------------------------- records
def _of_kind(records: Sequence[dict], kind: str) -> list[dict]:
    return [record for record in records if record.get("_type") == kind]


def _number(value: Any) -> float | None:
    """As a float; None where it is no finite number."""
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:
        return None


def _validation(record: dict) -> Figure | None:
    if record.get("_type") != "val_epoch":
        return None
    epoch, protocol = int(float(str(record["epoch"]).split("/")[0])), str(record.get("protocol") or "")
    if (value := _number(record.get("top1_err"))) is not None:
        return Figure("top-1", 100 - value, 100 - value, epoch, protocol=protocol)
    if (value := _number(record.get("map"))) is not None:
        return Figure("mAP", value, value, epoch, protocol=protocol)
    if (value := _number(record.get("loss"))) is not None:
        return Figure("loss", value, -value, epoch, protocol=protocol)
    return None


def _seconds(records: Sequence[dict]) -> float:
    """Of all epochs and validations that count, and the last test."""
    kinds = ("train_epoch", "val_epoch")
    epochs = sum(_number(record.get("time_diff")) or 0.0 for record in records if record.get("_type") in kinds)
    tests = [_number(record.get("seconds")) or 0.0 for record in records if record.get("split") == "test_final"]
    return epochs + (tests[-1] if tests else 0.0)


def _state(
    folder: Path, config: dict[str, object], records: Sequence[dict], test: Figure | None, problems: Sequence[str]
) -> tuple[str, str]:
    """How a run ended that nobody is at, and why where it did not finish."""
    trained, ended = _of_kind(records, "train_epoch"), _of_kind(records, "early_stop")
    if not (records or test or config):
        return "broken", "" if problems else "nothing is logged"
    last = str(trained[-1]["epoch"]) if trained else ""
    is_trained = bool(last) and (len(set(last.split("/"))) == 1 or any(one.get("epoch") == last for one in ended))
    wants_training = config.get("TRAIN.ENABLE", bool(trained))
    wants_test = config.get("TEST.ENABLE", not trained)
    tested = test is not None or any(record.get("split") == "test_final" for record in records)
    if (is_trained or not wants_training) and (tested or not wants_test):
        return "finished", f"stopped early after epoch {last.split('/')[0]}" if ended and is_trained else ""
    lines = (_LOG_LINE.sub("", line) for line in reversed(_text(folder / "stdout.log").strip().splitlines()))
    said = next((line for line in lines if not line.startswith("to go on: ")), "")  # why it stopped, not how it goes on
    return "stopped", "" if said.startswith("json_stats") else said
