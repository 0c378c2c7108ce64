"""A table of runs: what differs in their configs, and what came of it, as text, CSV, JSON and as a page."""

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import simplejson

from fragrant.config.keys import KEYS
from fragrant.errors import UserError
from fragrant.files import save_file
from fragrant.logs import duration
from fragrant.report.content import rounded
from fragrant.report.curves import curve, thinned
from fragrant.report.page import page_of
from fragrant.report.run_folders import STATES, Run
from fragrant.report.run_reading import Figure
from fragrant.texts import printable

NO_DIFFERENCE = {"OUTPUT_DIR", "NUM_SHARDS", "SHARD_ID"}
MOST_POINTS = 200  # of a curve
CURVES = ("validation top-1", "validation mAP", "validation loss", "loss", "learning rate")
WIDEST = 28  # letters of a cell on the terminal
KINDS = (".html", ".csv", ".json")
NOTHING = "-"


# ------------------------------------------------------------------------------------------------------- configuration
def differing_keys(runs: Sequence[Run]) -> list[str]:
    """Keys that not all configs give the same value: first those of the weights, then those that a run may change when
    it resumes; of each those first that tell most runs from the others."""
    configs = [run.config for run in runs if run.config]
    counted = {key: Counter(repr(one.get(key)) for one in configs) for key in KEYS if key not in NO_DIFFERENCE}
    apart = {key: len(configs) - max(found.values()) for key, found in counted.items() if len(found) > 1}
    return sorted(apart, key=lambda key: (KEYS[key].on_resume == "free", -apart[key]))


def short_names(keys: Sequence[str]) -> list[str]:
    """The last parts of the keys, where these are distinct."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return [key if last[key.rpartition(".")[2]] > 1 else key.rpartition(".")[2] for key in keys]


def shown(value: object) -> str:
    """A value of a config in a cell."""
    if value is None:
        return "None"
    return '""' if value == "" else str(value)


# ----------------------------------------------------------------------------------------------------------------- text
def _figure(figure: Figure | None) -> str:
    if figure is None:
        return NOTHING
    text = str(figure)
    if figure.low is not None and figure.high is not None:
        text += f" [{figure.low:.1f}, {figure.high:.1f}]"
    if figure.epoch:
        text += f" @{figure.epoch}"
    return f"{text} {figure.words}" if figure.words else text


def _cells(run: Run) -> list[str]:
    time = duration(run.seconds) if run.seconds else NOTHING
    return [
        run.name,
        run.state,
        run.epochs or NOTHING,
        *map(_figure, (run.best, run.last, run.test)),
        time,
        run.hardware,
    ]


HEAD = ["run", "state", "epochs", "best validation @epoch", "last validation", "test [95 %]", "time", "hardware"]


def text_table(runs: Sequence[Run], *, width: int | None = None) -> str:
    """The table for a terminal of ``width`` columns, None = as wide as it is; what does not fit is named beneath."""
    keys = differing_keys(runs)
    names, rows = short_names(keys), [_cells(run) for run in runs]
    columns = [[HEAD[at], *(row[at] for row in rows)] for at in range(len(HEAD))]
    columns += [
        [name, *(shown(run.config[key]) if run.config else NOTHING for run in runs)]
        for name, key in zip(names, keys, strict=True)
    ]
    columns = [[_cut(printable(cell)) for cell in column] for column in columns]
    widths = [max(map(len, column)) for column in columns]
    fits = len(columns)
    while width is not None and fits > len(HEAD) and sum(widths[:fits]) + 2 * (fits - 1) > width:
        fits -= 1
    lines = [
        "  ".join(column[row].ljust(size) for column, size in zip(columns[:fits], widths, strict=False)).rstrip()
        for row in range(len(runs) + 1)
    ]
    if left := keys[fits - len(HEAD) :]:
        lines.append(
            f"{len(left)} more keys differ, see the page: {', '.join(left[:8])}{', ...' if len(left) > 8 else ''}"
        )
    lines += [f"{run.name}: {printable(run.note)}" for run in runs if run.note and run.state in ("broken", "stopped")]
    return "\n".join([*lines, counts(runs)])


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST + 20 else f"{text[: WIDEST + 19]}…"


def counts(runs: Sequence[Run]) -> str:
    """ "5 runs: 1 running, 4 finished" """
    states = Counter(run.state for run in runs)
    told = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
    return f"{len(runs)} run{'s' * (len(runs) != 1)}{': ' if told else ''}{told}"


# ---------------------------------------------------------------------------------------------------------------- files
def plain_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row of plain values for each run, for CSV and JSON."""
    keys, rows = differing_keys(runs), []
    for run in runs:
        row: dict[str, Any] = {"run": run.name, "state": run.state, "note": run.note, "epochs": run.epochs}
        for name, figure in (("best_validation", run.best), ("last_validation", run.last), ("test", run.test)):
            row |= {name: figure and figure.value, f"{name}_metric": figure and figure.kind}
            row |= {f"{name}_protocol": figure.protocol if figure else ""}
            row |= {"test_low": figure and figure.low, "test_high": figure and figure.high} if name == "test" else {}
            row |= {} if name == "test" else {f"{name}_epoch": figure and figure.epoch}
        row |= {"seconds": round(run.seconds, 1), "hardware": run.hardware, "started": run.started}
        rows.append(row | {key: run.config.get(key) for key in keys})
    return rows


def csv_text(runs: Sequence[Run]) -> str:
    """The rows as CSV; a cell that a spreadsheet would take for a formula gets an apostrophe."""
    rows, file = plain_rows(runs), io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return file.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def write_runs(runs: Sequence[Run], folder: str | Path, path: str | Path) -> None:
    """Writes the table as a page, CSV or JSON, as the ending says.

    Raises:
        UserError: another ending, or it cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UserError(f"'{path}' has no known ending; allowed: {', '.join(KINDS)}")
    if kind == ".html":
        text = page_of("runs", runs_content(runs, folder, beside=path.parent))
    elif kind == ".csv":
        text = csv_text(runs)
    else:
        text = simplejson.dumps(plain_rows(runs), indent=1, ignore_nan=True) + "\n"
    save_file(path, text)


# ----------------------------------------------------------------------------------------------------------------- page
def runs_content(runs: Sequence[Run], folder: str | Path, *, beside: Path) -> dict[str, Any]:
    """Everything that the page shows; links to reports are relative to the folder ``beside``."""
    keys = differing_keys(runs)
    return {
        "title": f"Runs in {Path(folder).resolve().name or folder}",
        "subtitle": counts(runs),
        "states": list(STATES),
        "keys": keys,
        "names": short_names(keys),
        "meanings": [KEYS[key].meaning for key in keys],
        "runs": [_row(run, keys, beside) for run in runs],
    }


def _row(run: Run, keys: Sequence[str], beside: Path) -> dict[str, Any]:
    done, _, total = run.epochs.partition("/")
    return {
        "name": run.name,
        "report": _link(run.report, beside),
        "state": run.state,
        "note": run.note,
        "epochs": [int(done), int(total)] if done.isdigit() and total.isdigit() else None,
        "best": _content(run.best),
        "last": _content(run.last),
        "test": _content(run.test),
        "seconds": run.seconds,
        "time": duration(run.seconds) if run.seconds else "",
        "hardware": run.hardware,
        "started": run.started,
        "values": [shown(run.config[key]) if run.config else None for key in keys],
        "curves": _curves(run),
    }


def _link(report: Path | None, beside: Path) -> str:
    return Path(os.path.relpath(report, beside)).as_posix() if report else ""


def _content(figure: Figure | None) -> dict[str, Any] | None:
    return figure and {**figure._asdict(), "rank": figure.rank, "text": str(figure), "words": figure.words}


def _curves(run: Run) -> dict[str, dict[str, list[float]]]:
    found = {}
    for name in CURVES:
        points = thinned(curve(run.records, name), MOST_POINTS)
        if points.epochs:
            found[name] = {"x": rounded(points.epochs), "y": [float(f"{value:.6g}") for value in points.values]}
    return found
