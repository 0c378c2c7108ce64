"""Predictions as lines for a person, as JSON lines, or as CSV."""

from collections.abc import Callable, Sequence

import simplejson

from fragrant.inference.predictor import Prediction, Ranked, Window
from fragrant.texts import csv_text, printable


def as_text(prediction: Prediction) -> str:
    """Formats a prediction for a person: ``"video.mp4: walk 93.1 %, run 4.0 %; gamma 2.5"``, and a line for each
    window."""
    lines = [printable(f"{prediction.path}: {_told(prediction)}")]
    lines += [
        printable(f"  {window.start:8.2f} .. {window.end:8.2f} s: {_told(window)}") for window in prediction.windows
    ]
    return "\n".join(lines)


def as_json(prediction: Prediction) -> str:
    """Formats a prediction as one line of JSON: {"path", "top": [{"name", "number", "prob"}], "choices": {...},
    "windows": [...]} or {"path", "error"}"""
    if prediction.error:
        return simplejson.dumps({"path": prediction.path, "error": prediction.error})
    row = {"path": prediction.path, **_answer(prediction)}
    if prediction.windows:
        row["windows"] = [
            {"start": window.start, "end": window.end, **_answer(window)} for window in prediction.windows
        ]
    return simplejson.dumps(row, ignore_nan=True)


def as_csv(prediction: Prediction) -> str:
    """Formats a prediction as CSV: path, start, end (empty for a whole video), error, what the model chose, then name
    and probability of each rank; a row per window where there are some."""
    parts: Sequence[tuple] = [window[:4] for window in prediction.windows]
    parts = parts or [("", "", prediction.top, prediction.choices)]
    rows = [
        [prediction.path, start, end, prediction.error, *choices.values(), *_cells(top)]
        for start, end, top, choices in parts
    ]
    return csv_text(rows).rstrip("\n")


def csv_header(top: int, choices: Sequence[str] = ()) -> str:
    ranks = [f"{what}{rank}" for rank in range(1, top + 1) for what in ("class", "prob")]
    return csv_text([["path", "start", "end", "error", *choices, *ranks]]).rstrip("\n")


def _cells(top: list[Ranked]) -> list[str]:
    return [cell for ranked in top for cell in (ranked.name, f"{ranked.prob:.6f}")]


def _told(part: Prediction | Window) -> str:
    ranks = ", ".join(f"{ranked.name} {100 * ranked.prob:.1f} %" for ranked in part.top)
    return "; ".join([ranks, *(f"{name} {value:.3g}" for name, value in part.choices.items())])


def _answer(part: Prediction | Window) -> dict:
    return {"top": [ranked._asdict() for ranked in part.top], **({"choices": part.choices} if part.choices else {})}


WRITERS: dict[str, Callable[[Prediction], str]] = {"text": as_text, "json": as_json, "csv": as_csv}
