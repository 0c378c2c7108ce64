"""What the folders of runs hold, each in a few numbers: config, validations, test, time, machine, and how far it is."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.config import ConfigError
from fragrant.config.compare import recorded
from fragrant.distributed.run_lock import holder_at_work
from fragrant.errors import UserError
from fragrant.files import read_plain
from fragrant.report.curves import LogError
from fragrant.report.run_reading import Figure, Reading, read_json, read_log, reading

STATES = ("running", "finished", "stopped", "broken")
MARKS = ("metrics.jsonl", "scores.npz", ".run.lock", "environment.json")  # of a run, whichever is there
LONGEST = 200  # letters of a note
_HARDWARE = re.compile(
    r"videos; .*?, peak .*?; (?:(\d+) processes on \d+ machine\(s\), )?(cpu, \d+ threads|[^;]+?), (?:fp32|bf16|fp16)"
)
_LOG_LINE = re.compile(r"\[[^]]*\]\[\w+\] [^:]*: *\d+: ")


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
    environment, found = read_json(folder / "environment.json", problems), reading(folder, records, problems)
    running = holder_at_work(folder)
    state, note = ("running", str(running)) if running else _state(folder, config, found, problems)
    report = folder / "report.html"
    return Run(
        name=os.path.relpath(folder, top),
        folder=folder,
        state=state,
        note="; ".join(filter(None, [note, *problems]))[:LONGEST],
        epochs=found.epochs,
        config=config,
        best=found.best,
        last=found.last,
        test=found.test,
        seconds=found.seconds,
        hardware=str(environment.get("hardware") or _hardware_in_log(folder)),
        started=str(environment.get("started", "")),
        report=report if report.is_file() else None,
        records=records,
    )


def _records(folder: Path, problems: list[str]) -> list[dict]:
    try:
        return read_log(folder)
    except LogError as error:
        problems.append(_said(error, folder))
        return []


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


def _state(folder: Path, config: dict[str, object], run: Reading, problems: Sequence[str]) -> tuple[str, str]:
    """How a run ended that nobody is at, and why where it did not finish."""
    if not (run.records or run.test or config):
        return "broken", "" if problems else "nothing is logged"
    begun, is_trained = bool(run.epochs), run.is_trained()
    wants_training = config.get("TRAIN.ENABLE", begun)
    wants_test = config.get("TEST.ENABLE", not begun)
    tested = run.test is not None or any(record.get("split") == "test_final" for record in run.records)
    if (is_trained or not wants_training) and (tested or not wants_test):
        return "finished", f"stopped early after epoch {run.epochs.split('/')[0]}" if run.early else ""
    lines = (_LOG_LINE.sub("", line) for line in reversed(_text(folder / "stdout.log").strip().splitlines()))
    said = next((line for line in lines if not line.startswith("to go on: ")), "")  # why it stopped, not how it goes on
    return "stopped", "" if said.startswith("json_stats") else said
