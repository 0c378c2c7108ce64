"""Predictions as lines for a person, as JSON lines, or as CSV."""

import csv
import io
from collections.abc import Callable

import simplejson

from fragrant.engine.predict import Prediction, Ranked


def as_text(prediction: Prediction) -> str:
    """``"video.mp4: walk 93.1 %, run 4.0 %"``, and a line for each window."""
    lines = [f"{prediction.path}: {_list(prediction.top)}"]
    lines += [f"  {window.start:8.2f} .. {window.end:8.2f} s: {_list(window.top)}" for window in prediction.windows]
    return "\n".join(lines)


def as_json(prediction: Prediction) -> str:
    """One line: {"path", "top": [{"name", "number", "prob"}], "windows": [...]} or {"path", "error"}"""
    if prediction.error:
        return simplejson.dumps({"path": prediction.path, "error": prediction.error})
    row = {"path": prediction.path, "top": [ranked._asdict() for ranked in prediction.top]}
    if prediction.windows:
        row["windows"] = [window._asdict() | {"top": [ranked._asdict() for ranked in window.top]} for window in prediction.windows]
    return simplejson.dumps(row)


def as_csv(prediction: Prediction) -> str:
    """path, start, end (empty for a whole video), error, then name and probability of each rank; a row per window where there are some."""
    parts = prediction.windows or [("", "", prediction.top)]
    rows = [[prediction.path, start, end, prediction.error, *_cells(top)] for start, end, top in parts]
    return _csv_lines(rows)


def csv_header(top: int) -> str:
    return _csv_lines([["path", "start", "end", "error", *(f"{what}{rank}" for rank in range(1, top + 1) for what in ("class", "prob"))]])


def _cells(top: list[Ranked]) -> list[str]:
    return [cell for ranked in top for cell in (ranked.name, f"{ranked.prob:.6f}")]


def _list(top: list[Ranked]) -> str:
    return ", ".join(f"{ranked.name} {100 * ranked.prob:.1f} %" for ranked in top)


def _csv_lines(rows: list[list]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().rstrip("\n")


WRITERS: dict[str, Callable[[Prediction], str]] = {"text": as_text, "json": as_json, "csv": as_csv}
